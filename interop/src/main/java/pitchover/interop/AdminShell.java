package pitchover.interop;

import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import org.apache.rocketmq.tools.command.MQAdminStartup;

/**
 * mqadmin that stays: one command a line (words parted by tabs) on standard input, its output on standard
 * output, then a line {@link #END}.
 *
 * The suite asks for the state of the cluster many times a minute; a JVM per question would be most of its run
 * time. What is compared with recorded output runs in a JVM of its own all the same.
 */
public final class AdminShell {
    /** Ends each answer; no mqadmin command prints it. */
    static final String END = "== end of answer ==";

    private AdminShell() {
    }

    public static void main(String[] args) throws Exception {
        PrintStream out = System.out;
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            out.print(run(line.split("\t")));
            out.println();
            out.println(END);
            out.flush();
        }
        // The client library leaves threads behind.
        System.exit(0);
    }

    private static String run(String[] words) throws Exception {
        PrintStream out = System.out;
        PrintStream err = System.err;
        ByteArrayOutputStream caught = new ByteArrayOutputStream();
        PrintStream both = new PrintStream(caught, true, "UTF-8");
        System.setOut(both);
        System.setErr(both);
        try {
            MQAdminStartup.main0(words, null);
        } finally {
            System.setOut(out);
            System.setErr(err);
        }
        return caught.toString("UTF-8");
    }
}
