package pitchover.openchaos;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** Who leads, by asking each node itself (1005): a node that says so of itself counts, what others say of it does not. */
final class Leader {
    private static final int NOBODY = -1;

    /** A node that stands still must not hold up the question to the others. */
    private static final int PATIENCE_MS = 300;

    private final List<Line> lines = new ArrayList<>();
    private final List<Line> questions = new ArrayList<>();
    private int known = NOBODY;

    Leader(List<String> addresses) {
        addresses.forEach(address -> lines.add(new Line(address)));
        addresses.forEach(address -> questions.add(new Line(address, PATIENCE_MS)));
    }

    Line line(int node) {
        return lines.get(node);
    }

    /** Place of the leader in the list of nodes, -1 while there is none; asks only if it is not known. */
    int find() {
        for (int node = 0; known == NOBODY && node < lines.size(); node++) {
            if (leads(questions.get(node))) {
                known = node;
            }
        }
        return known;
    }

    private static boolean leads(Line line) {
        try {
            Frame answer = line.ask(Call.METADATA, Collections.emptyMap(), null);
            return answer.code == Call.SUCCESS && Boolean.parseBoolean(answer.fields.get("isLeader"));
        } catch (Line.NotSent | Line.Unanswered error) {
            // It leads nobody now.
            return false;
        }
    }

    /** The next {@link #find} asks again. */
    void forget() {
        known = NOBODY;
    }

    void close() {
        lines.forEach(Line::close);
        questions.forEach(Line::close);
    }
}
