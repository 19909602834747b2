package pitchover.interop;

import java.io.FileWriter;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import org.apache.rocketmq.remoting.protocol.EpochEntry;
import org.apache.rocketmq.remoting.protocol.body.EpochEntryCache;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/**
 * What each broker says of itself, asked again and again through the official administration client and written down
 * with its times.
 *
 * Arguments: a file, then addresses of brokers. One line per answer, words parted by tabs: when it was asked, when the answer
 * came (ns of System.nanoTime, which is CLOCK_MONOTONIC on Linux), the address, the id that the broker has
 * itself (0 is the master), and its newest epoch with the offset where that began. No answer, no line.
 */
public final class Watch {
    private static final int PAUSE_MS = 250;
    private static final int TIMEOUT_MS = 1_000;

    private Watch() {
    }

    public static void main(String[] args) throws Exception {
        DefaultMQAdminExt client = new DefaultMQAdminExt(TIMEOUT_MS);
        client.start();
        try (PrintWriter file = new PrintWriter(new FileWriter(args[0]), true)) {
            List<Thread> threads = new ArrayList<>();
            for (int at = 1; at < args.length; at++) {
                String address = args[at];
                // A broker that stands still holds up only its own thread.
                threads.add(new Thread(() -> watch(client, address, file), address));
            }
            threads.forEach(Thread::start);
            for (Thread thread : threads) {
                thread.join();
            }
        }
    }

    /** Until the process is killed. */
    private static void watch(DefaultMQAdminExt client, String address, PrintWriter file) {
        String reason = "";
        while (true) {
            long began = System.nanoTime();
            try {
                EpochEntryCache answer = client.getBrokerEpochCache(address);
                List<EpochEntry> epochs = answer.getEpochList();
                if (!epochs.isEmpty()) {
                    EpochEntry newest = epochs.get(epochs.size() - 1);
                    file.println(began + "\t" + System.nanoTime() + "\t" + address + "\t" + answer.getBrokerId() + "\t"
                        + newest.getEpoch() + "\t" + newest.getStartOffset());
                }
            } catch (Exception error) {
                // A broker that is dead says the same very often.
                if (!error.toString().equals(reason)) {
                    reason = error.toString();
                    System.err.println(address + ": " + reason);
                }
            }
            try {
                Thread.sleep(PAUSE_MS);
            } catch (InterruptedException error) {
                return;
            }
        }
    }
}
