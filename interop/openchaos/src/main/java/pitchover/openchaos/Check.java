package pitchover.openchaos;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * The driver's own check, which OpenChaos lacks: is each broker set of a history linearizable?
 *
 * A set epoch is a version: every change raises it, every answer shows it. So order can be read off it:
 *
 * 1. no two acknowledged writes made one epoch, and one epoch has one content;
 * 2. what was invoked after another operation finished shows no lower epoch, and a write makes a higher one;
 * 3. the last epoch is not below an acknowledged one;
 * 4. the epoch grew by no more than acknowledged writes, unknown writes and elections (whose number the master epoch tells);
 * 5. an id that was acknowledged is not free afterwards, and no other one was given.
 *
 * {@code java pitchover.openchaos.Check FILE} prints a line for each violation, then {@code violations N}, the number of
 * all of them. {@code pitchover check FILE} is a second opinion by other code.
 */
public final class Check {
    private static final int SHOWN_MAX = 20;

    private final List<String> shown = new ArrayList<>();
    private int count;

    private Check() {
    }

    public static void main(String[] args) throws IOException {
        Check check = new Check();
        for (Map.Entry<String, List<Seen>> set : read(args[0]).entrySet()) {
            check.epochs(set.getKey(), set.getValue());
            check.ids(set.getKey(), set.getValue());
        }
        check.shown.forEach(System.out::println);
        System.out.println("violations " + check.count);
    }

    /** One operation, as far as this check needs it; 0 is what it does not show. */
    private static final class Seen {
        long invoked;
        long finished = Long.MAX_VALUE;
        boolean isOk;
        boolean isUnknown;
        String call;
        int masterEpoch;
        int setEpoch;
        long nextId;
        String content;

        boolean isAlter() {
            return call.equals("alter");
        }

        @Override
        public String toString() {
            return call + " at " + invoked + " showing epoch " + setEpoch;
        }
    }

    private static Map<String, List<Seen>> read(String file) throws IOException {
        Map<String, List<Seen>> sets = new TreeMap<>();
        try (BufferedReader lines = Files.newBufferedReader(Paths.get(file), StandardCharsets.UTF_8)) {
            lines.readLine();
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                JsonNode operation = Frame.JSON.readTree(line);
                sets.computeIfAbsent(operation.path("set").asText(), set -> new ArrayList<>()).add(one(operation));
            }
        }
        return sets;
    }

    private static Seen one(JsonNode operation) {
        Seen seen = new Seen();
        seen.invoked = operation.path("invoked").asLong();
        seen.finished = operation.path("finished").asLong(Long.MAX_VALUE);
        JsonNode call = operation.path("call");
        seen.call = call.isTextual() ? call.asText() : call.fieldNames().next();
        JsonNode outcome = operation.path("outcome");
        seen.isUnknown = outcome.asText().equals("unknown");
        seen.isOk = outcome.has("ok");
        JsonNode shown = outcome.path("ok");
        seen.masterEpoch = shown.path("masterEpoch").asInt();
        seen.setEpoch = shown.path("setEpoch").asInt();
        seen.nextId = shown.path("nextId").asLong();
        if (shown.has("syncStateSet")) {
            List<Long> members = new ArrayList<>();
            shown.path("syncStateSet").forEach(id -> members.add(id.asLong()));
            members.sort(Comparator.naturalOrder());
            seen.content = shown.path("master").asLong() + " of " + members;
        }
        return seen;
    }

    private void violation(String set, String text) {
        count++;
        if (shown.size() < SHOWN_MAX) {
            shown.add(set + ": " + text);
        }
    }

    private void epochs(String set, List<Seen> operations) {
        List<Seen> shows = new ArrayList<>();
        for (Seen one : operations) {
            if (one.isOk && one.setEpoch > 0) {
                shows.add(one);
            }
        }
        if (shows.isEmpty()) {
            return;
        }
        contents(set, shows);
        order(set, shows);
        growth(set, operations, shows);
    }

    private void contents(String set, List<Seen> shows) {
        Map<Integer, Seen> writers = new HashMap<>();
        Map<Integer, Seen> contents = new HashMap<>();
        for (Seen one : shows) {
            Seen other = one.isAlter() ? writers.putIfAbsent(one.setEpoch, one) : null;
            if (other != null) {
                violation(set, "one epoch was acknowledged twice: " + other + "; " + one);
            }
            Seen first = one.content == null ? null : contents.putIfAbsent(one.setEpoch, one);
            if (first != null && !first.content.equals(one.content)) {
                violation(set, "two contents of one epoch: " + first.content + " by " + first + "; " + one.content + " by " + one);
            }
        }
    }

    /** Begins and ends in the order of time: an end raises the floor that later begins must reach. */
    private void order(String set, List<Seen> shows) {
        List<Seen> ends = new ArrayList<>(shows);
        ends.sort(Comparator.comparingLong(one -> one.finished));
        shows.sort(Comparator.comparingLong(one -> one.invoked));
        Seen floor = null;
        int ended = 0;
        for (Seen one : shows) {
            // Equal times overlap.
            while (ended < ends.size() && ends.get(ended).finished < one.invoked) {
                Seen end = ends.get(ended++);
                floor = floor == null || end.setEpoch > floor.setEpoch ? end : floor;
            }
            boolean isLower = floor != null && (one.isAlter() ? one.setEpoch <= floor.setEpoch : one.setEpoch < floor.setEpoch);
            if (isLower) {
                violation(set, one + " although " + floor + " was over");
            }
        }
    }

    private void growth(String set, List<Seen> operations, List<Seen> shows) {
        int first = Integer.MAX_VALUE;
        int highest = 0;
        int acknowledged = 0;
        int[] masters = {Integer.MAX_VALUE, 0};
        Seen last = shows.get(0);
        for (Seen one : shows) {
            first = Math.min(first, one.setEpoch);
            highest = Math.max(highest, one.setEpoch);
            acknowledged = Math.max(acknowledged, one.isAlter() ? one.setEpoch : 0);
            masters[0] = Math.min(masters[0], one.masterEpoch);
            masters[1] = Math.max(masters[1], one.masterEpoch);
            last = one.invoked >= last.invoked ? one : last;
        }
        if (last.setEpoch < acknowledged) {
            violation(set, "the last epoch is " + last.setEpoch + ", " + acknowledged + " was acknowledged");
        }
        int writes = 0;
        for (Seen one : operations) {
            writes += one.isAlter() && (one.isOk || one.isUnknown) ? 1 : 0;
        }
        int elections = masters[1] - masters[0];
        if (highest - first > writes + elections) {
            violation(set, "the epoch grew from " + first + " to " + highest + " by at most " + writes + " writes and "
                + elections + " elections");
        }
    }

    private void ids(String set, List<Seen> operations) {
        long given = Long.MAX_VALUE;
        int wanted = 0;
        for (Seen one : operations) {
            boolean isApply = one.call.equals("applyId");
            wanted += isApply && (one.isOk || one.isUnknown) ? 1 : 0;
            given = isApply && one.isOk ? Math.min(given, one.finished) : given;
        }
        for (Seen one : operations) {
            if (one.nextId == 0) {
                continue;
            }
            if (given < one.invoked && one.nextId < 2) {
                violation(set, "the acknowledged id is free again: next is " + one.nextId);
            }
            if (one.nextId > 1 + wanted) {
                violation(set, "next is " + one.nextId + ", and " + wanted + " ids were asked for");
            }
        }
    }
}
