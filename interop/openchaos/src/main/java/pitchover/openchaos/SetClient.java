package pitchover.openchaos;

import io.openchaos.common.InvokeResult;
import io.openchaos.driver.kv.KVClient;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * The set: a put of n takes id 1 of the broker set {@code KEY-n} with a check code that is always the same (1013), so it
 * may be repeated. At the end n is there if the next id of that set (1012) is 2.
 */
final class SetClient implements KVClient {
    private static final String CHECK_CODE = "10.78.0.100:11001;openchaos";

    private final Requests requests;

    SetClient(Requests requests) {
        this.requests = requests;
    }

    @Override
    public void start() {
        // Connections are made when they are needed.
    }

    @Override
    public void close() {
        requests.close();
    }

    private static String set(Optional<String> key, Object value) {
        return key.orElse(Call.CLUSTER) + "-" + value;
    }

    @Override
    public InvokeResult put(Optional<String> key, String value) {
        return Requests.until(() -> {
            History.Result result = requests.ask(Call.applyId(set(key, value), 1, CHECK_CODE));
            switch (result.end) {
                case SUCCESS:
                    return InvokeResult.SUCCESS;
                case UNKNOWN:
                    return InvokeResult.UNKNOWN;
                case REFUSED:
                    return result.code == Call.NOT_LEADER ? null : InvokeResult.FAILURE;
                default:
                    return null;
            }
        });
    }

    @Override
    public List<String> getAll(Optional<String> key, int puts) {
        List<String> found = new ArrayList<>();
        for (int value = 0; value < puts; value++) {
            Call.Seen last = requests.last(Call.nextId(set(key, value)));
            if (last == null) {
                // Nobody answers any more: a list that is not whole would look like a loss.
                return null;
            }
            if (last.nextId == 2) {
                found.add(Integer.toString(value));
            }
        }
        return found;
    }

    @Override
    public List<String> getAll(Optional<String> key) {
        return getAll(key, 0);
    }
}
