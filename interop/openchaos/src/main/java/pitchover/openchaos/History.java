package pitchover.openchaos;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedWriter;
import java.io.Closeable;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;

/**
 * Everything that this driver asked and saw, one line each, in the format of crates/workload/src/history.rs; times in
 * nanoseconds of the monotonic clock. {@link Check} and {@code pitchover check} read it.
 *
 * OpenChaos' own history cannot serve: it has milliseconds of the wall clock, no reads, and is deleted after an exception.
 */
final class History implements Closeable {
    private final BufferedWriter file;
    /** The value that was acknowledged at a set epoch; {@code null} once two were. */
    private final Map<Integer, String> acknowledged = new TreeMap<>();

    History(Path path) throws IOException {
        file = Files.newBufferedWriter(path, StandardCharsets.UTF_8);
        ObjectNode heading = Frame.JSON.createObjectNode();
        heading.put("pitchoverHistory", 1).put("isComplete", true).put("origin", "OpenChaos");
        file.write(heading + "\n");
    }

    /** How one call ended. */
    enum End { SUCCESS, REFUSED, UNKNOWN, NOT_SENT }

    /** What came of one call. */
    static final class Result {
        final End end;
        final int code;
        final Call.Seen seen;

        Result(End end, int code, Call.Seen seen) {
            this.end = end;
            this.code = code;
            this.seen = seen;
        }
    }

    /** Makes one call and writes it down. */
    Result call(int client, int node, Line line, Call call) {
        long invoked = System.nanoTime();
        try {
            Frame answer = line.ask(call.code, call.fields, call.body);
            long finished = System.nanoTime();
            if (Call.isOpen(answer.code)) {
                return unknown(client, node, call, invoked);
            }
            ObjectNode told = begin(client, node, call, invoked).put("finished", finished);
            if (answer.code != Call.SUCCESS) {
                told.putObject("outcome").putObject("refused").put("code", answer.code);
                write(told);
                return new Result(End.REFUSED, answer.code, null);
            }
            Call.Seen seen = call.seen(answer);
            told.putObject("outcome").set("ok", seen.told());
            write(told);
            return new Result(End.SUCCESS, answer.code, seen);
        } catch (Line.NotSent error) {
            return new Result(End.NOT_SENT, 0, null);
        } catch (Line.Unanswered | IOException error) {
            return unknown(client, node, call, invoked);
        }
    }

    private Result unknown(int client, int node, Call call, long invoked) {
        write(begin(client, node, call, invoked).put("outcome", "unknown"));
        return new Result(End.UNKNOWN, 0, null);
    }

    private static ObjectNode begin(int client, int node, Call call, long invoked) {
        ObjectNode told = Frame.JSON.createObjectNode();
        told.put("client", client).put("peer", node).put("set", call.set).put("invoked", invoked);
        told.set("call", call.told);
        return told;
    }

    private synchronized void write(ObjectNode line) {
        try {
            file.write(line + "\n");
        } catch (IOException error) {
            throw new IllegalStateException("the history cannot be written", error);
        }
    }

    /** Remembers at which epoch a value was acknowledged. */
    synchronized void acknowledge(int setEpoch, String value) {
        acknowledged.put(setEpoch, acknowledged.containsKey(setEpoch) ? null : value);
    }

    /** Values whose epoch was given once and is not above {@code last}. */
    synchronized Map<Integer, String> upTo(int last) {
        Map<Integer, String> kept = new TreeMap<>();
        acknowledged.forEach((epoch, value) -> {
            if (value != null && epoch <= last) {
                kept.put(epoch, value);
            }
        });
        return kept;
    }

    @Override
    public synchronized void close() throws IOException {
        file.close();
    }
}
