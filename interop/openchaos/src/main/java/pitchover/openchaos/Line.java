package pitchover.openchaos;

import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.util.Map;

/**
 * A connection to one controller, made when it is needed and again after it broke. One request at a time.
 *
 * What matters to a check is told apart: {@link NotSent} for certain has no effect, {@link Unanswered} may have one.
 */
final class Line {
    /** As long as a broker waits. */
    static final int ANSWER_MS_MAX = 3_000;
    private static final int CONNECT_MS_MAX = 500;

    private final InetSocketAddress address;
    private final int patienceMs;
    private Socket socket;
    private DataInputStream in;
    private OutputStream out;
    private int opaque;

    /** Nothing left this process. */
    static final class NotSent extends Exception {
        NotSent(Throwable cause) {
            super(cause);
        }
    }

    /** Something left, and nothing came back. */
    static final class Unanswered extends Exception {
        Unanswered(Throwable cause) {
            super(cause);
        }
    }

    Line(String address) {
        this(address, ANSWER_MS_MAX);
    }

    /** An answer that takes longer than {@code patienceMs} is none. */
    Line(String address, int patienceMs) {
        this.patienceMs = patienceMs;
        int colon = address.lastIndexOf(':');
        this.address = new InetSocketAddress(address.substring(0, colon), Integer.parseInt(address.substring(colon + 1)));
    }

    /** Asks, and waits for the answer. */
    synchronized Frame ask(int code, Map<String, String> fields, byte[] body) throws NotSent, Unanswered {
        Frame request = new Frame(code, ++opaque, 0, fields, body);
        send(request);
        try {
            while (true) {
                Frame answer = Frame.read(in);
                if (answer.opaque == request.opaque && (answer.flag & Frame.RESPONSE) != 0) {
                    return answer;
                }
            }
        } catch (IOException | RuntimeException error) {
            close();
            throw new Unanswered(error);
        }
    }

    /** Sends what nobody answers. */
    synchronized void tell(int code, Map<String, String> fields) throws NotSent, Unanswered {
        send(new Frame(code, ++opaque, Frame.ONE_WAY, fields, null));
    }

    private void send(Frame frame) throws NotSent, Unanswered {
        byte[] bytes;
        try {
            bytes = frame.encode();
            if (socket == null) {
                connect();
            }
        } catch (IOException error) {
            close();
            throw new NotSent(error);
        }
        try {
            out.write(bytes);
        } catch (IOException error) {
            close();
            throw new Unanswered(error);
        }
    }

    private void connect() throws IOException {
        Socket made = new Socket();
        try {
            made.setTcpNoDelay(true);
            made.connect(address, CONNECT_MS_MAX);
            made.setSoTimeout(patienceMs);
            in = new DataInputStream(new BufferedInputStream(made.getInputStream()));
            out = made.getOutputStream();
        } catch (IOException error) {
            made.close();
            throw error;
        }
        socket = made;
    }

    /** Breaks the connection, if there is one. */
    synchronized void close() {
        if (socket != null) {
            try {
                socket.close();
            } catch (IOException error) {
                // It is not used again either way.
            }
            socket = null;
        }
    }
}
