package pitchover.openchaos;

import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The brokers of the register: they listen, take ids, register, and send a heartbeat each second to every controller.
 * Nothing happens to them; what OpenChaos breaks are controllers.
 *
 * They listen because a controller may ask a broker's own address whether it lives, and sends its notices there.
 */
final class Brokers {
    /** One master and ten bits. */
    static final int COUNT = 11;
    static final String SET = "register";

    private static final int HEARTBEAT_MS = 1_000;
    private static final int FIRST_PORT = 11_000;
    private static final int RETRY_MS = 200;
    private static final int SETUP_MS_MAX = 60_000;
    /** Requests of the set-up have a number of their own in the history. */
    private static final int CLIENT = 1_000;

    private final Settings settings;
    private final History history;
    private final Leader leader;

    Brokers(Settings settings, History history) {
        this.settings = settings;
        this.history = history;
        this.leader = new Leader(settings.addresses);
    }

    /** Returns when all are registered and one is master. */
    void enter() throws IOException, InterruptedException {
        for (int id = 1; id <= COUNT; id++) {
            ServerSocket listener = new ServerSocket(FIRST_PORT + id, 50, InetAddress.getByName(settings.brokers));
            run("broker-" + id, () -> accept(listener));
        }
        long until = System.nanoTime() + SETUP_MS_MAX * 1_000_000L;
        for (int id = 1; id <= COUNT; id++) {
            certainly(Call.applyId(SET, id, address(id) + ";openchaos"), until);
        }
        for (int id = 1; id <= COUNT; id++) {
            certainly(Call.register(SET, id, address(id)), until);
        }
        for (String node : settings.addresses) {
            run("heartbeats-" + node, () -> beat(new Line(node)));
        }
        Thread.sleep(2 * HEARTBEAT_MS);
        certainly(Call.elect(SET, 1), until);
    }

    private String address(int id) {
        return settings.brokers + ":" + (FIRST_PORT + id);
    }

    /** Repeats a request that may be repeated until it succeeds. */
    private void certainly(Call call, long until) throws IOException, InterruptedException {
        while (System.nanoTime() < until) {
            int node = leader.find();
            if (node >= 0) {
                History.Result result = history.call(CLIENT, node, leader.line(node), call);
                if (result.end == History.End.SUCCESS || result.code == Call.MASTER_STILL_EXISTS) {
                    return;
                }
                leader.forget();
            }
            Thread.sleep(RETRY_MS);
        }
        throw new IOException("request " + call.code + " had no success in " + SETUP_MS_MAX + " ms");
    }

    private void beat(Line line) {
        while (true) {
            try {
                for (int id = 1; id <= COUNT; id++) {
                    Map<String, String> fields = new LinkedHashMap<>();
                    fields.put("clusterName", Call.CLUSTER);
                    fields.put("brokerName", SET);
                    fields.put("brokerId", Integer.toString(id));
                    fields.put("brokerAddr", address(id));
                    fields.put("epoch", "1");
                    fields.put("maxOffset", "1");
                    fields.put("confirmOffset", "1");
                    line.tell(Call.HEARTBEAT, fields);
                }
            } catch (Line.NotSent | Line.Unanswered error) {
                // The node is down or cut off; the next round tries again.
                line.close();
            }
            try {
                Thread.sleep(HEARTBEAT_MS);
            } catch (InterruptedException error) {
                return;
            }
        }
    }

    private void accept(ServerSocket listener) {
        while (true) {
            try {
                Socket socket = listener.accept();
                run("notices", () -> acknowledge(socket));
            } catch (IOException error) {
                return;
            }
        }
    }

    /** Answers every notice, and changes nothing: the register's reads say who is master. */
    private void acknowledge(Socket socket) {
        try (Socket open = socket; DataInputStream in = new DataInputStream(new BufferedInputStream(open.getInputStream()))) {
            while (true) {
                Frame notice = Frame.read(in);
                if ((notice.flag & Frame.ONE_WAY) == 0) {
                    Frame answer = new Frame(Call.SUCCESS, notice.opaque, Frame.RESPONSE, Collections.emptyMap(), null);
                    open.getOutputStream().write(answer.encode());
                }
            }
        } catch (IOException error) {
            // The controller closed the connection, as after a probe.
        }
    }

    /** Threads do not keep OpenChaos from ending. */
    private static void run(String name, Runnable body) {
        Thread thread = new Thread(body, name);
        thread.setDaemon(true);
        thread.start();
    }
}
