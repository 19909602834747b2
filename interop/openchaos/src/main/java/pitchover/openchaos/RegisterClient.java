package pitchover.openchaos;

import io.openchaos.common.InvokeResult;
import io.openchaos.driver.kv.KVClient;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * The register: a put reads the broker set (1004) and replaces its sync-state set (1001) under the epoch just read, which
 * is compare and set. The value is coded as the master and ten bits, one for each other broker.
 *
 * Everything that was acknowledged and has a set epoch of its own, not above the last one, counts as there: a register
 * keeps its last value only, and OpenChaos asks for all.
 */
final class RegisterClient implements KVClient {
    private static final int BITS = Brokers.COUNT - 1;
    /** Refusals that for certain changed nothing and may pass: a fenced epoch, no master, a dead broker, no leader. */
    private static final Set<Integer> PASSING = new HashSet<>(Arrays.asList(2000, 2001, 2002, 2006, 2007, 2013));

    private final Requests requests;
    private final History history;

    RegisterClient(Requests requests, History history) {
        this.requests = requests;
        this.history = history;
    }

    @Override
    public void start() {
        // Connections are made when they are needed.
    }

    @Override
    public void close() {
        requests.close();
    }

    @Override
    public InvokeResult put(Optional<String> key, String value) {
        return Requests.until(() -> {
            History.Result read = requests.ask(Call.read(Brokers.SET));
            if (read.end != History.End.SUCCESS) {
                return null;
            }
            if (read.seen.master == Call.NOBODY) {
                requests.ask(Call.elect(Brokers.SET, 1));
                return null;
            }
            return alter(read.seen, value);
        });
    }

    private InvokeResult alter(Call.Seen held, String value) {
        List<Long> wanted = code(held.master, Long.parseLong(value));
        History.Result result = requests.ask(Call.alter(Brokers.SET, held, wanted));
        switch (result.end) {
            case SUCCESS:
                history.acknowledge(result.seen.setEpoch, value);
                return InvokeResult.SUCCESS;
            case UNKNOWN:
                return InvokeResult.UNKNOWN;
            case REFUSED:
                return PASSING.contains(result.code) ? null : InvokeResult.FAILURE;
            default:
                return null;
        }
    }

    static List<Long> code(long master, long value) {
        List<Long> members = new ArrayList<>();
        int bit = 0;
        for (long id = 1; id <= Brokers.COUNT; id++) {
            if (id == master) {
                members.add(id);
            } else if ((value % (1 << BITS) >> bit++ & 1) == 1) {
                members.add(id);
            }
        }
        return members;
    }

    @Override
    public List<String> getAll(Optional<String> key, int puts) {
        Call.Seen last = requests.last(Call.read(Brokers.SET));
        return last == null ? null : new ArrayList<>(history.upTo(last.setEpoch).values());
    }

    @Override
    public List<String> getAll(Optional<String> key) {
        return getAll(key, 0);
    }
}
