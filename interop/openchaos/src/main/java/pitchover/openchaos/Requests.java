package pitchover.openchaos;

import io.openchaos.common.InvokeResult;
import java.util.List;

/** One client's requests to whoever leads, written into the history. */
final class Requests {
    /** How long a put is tried again after answers that for certain changed nothing. */
    static final long PUT_NS_MAX = 3_000_000_000L;
    /** How long the last reads are tried: a group without a leader by then is one that did not come back. */
    private static final long LAST_READ_NS_MAX = 60_000_000_000L;
    private static final int PAUSE_MS = 25;
    /** Another client was faster; the leader is still the leader. */
    private static final int FENCED_SET_EPOCH = 2001;

    private final int client;
    private final Leader leader;
    private final History history;

    Requests(int client, List<String> addresses, History history) {
        this.client = client;
        this.leader = new Leader(addresses);
        this.history = history;
    }

    /** Asks the leader. Whatever comes instead of a success, who leads is asked for again the next time. */
    History.Result ask(Call call) {
        int node = leader.find();
        if (node < 0) {
            return new History.Result(History.End.NOT_SENT, 0, null);
        }
        History.Result result = history.call(client, node, leader.line(node), call);
        if (result.end != History.End.SUCCESS && result.code != FENCED_SET_EPOCH) {
            leader.forget();
        }
        return result;
    }

    /** One try of a put. */
    interface Attempt {
        /** How the put ended; null if nothing was changed and it may be tried again. */
        InvokeResult once();
    }

    /** Tries until an attempt is decided or the time is over. */
    static InvokeResult until(Attempt attempt) {
        long end = System.nanoTime() + PUT_NS_MAX;
        while (System.nanoTime() < end) {
            InvokeResult result = attempt.once();
            if (result != null) {
                return result;
            }
            pause();
        }
        return InvokeResult.FAILURE;
    }

    /** Reads until there is an answer; null if there is none in time. */
    Call.Seen last(Call read) {
        long end = System.nanoTime() + LAST_READ_NS_MAX;
        while (System.nanoTime() < end) {
            History.Result result = ask(read);
            if (result.end == History.End.SUCCESS) {
                return result.seen;
            }
            pause();
        }
        return null;
    }

    private static void pause() {
        try {
            Thread.sleep(PAUSE_MS);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        }
    }

    void close() {
        leader.close();
    }
}
