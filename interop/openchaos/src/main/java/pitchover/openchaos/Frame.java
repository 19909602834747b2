package pitchover.openchaos;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.util.HashMap;
import java.util.Iterator;
import java.util.Map;

/**
 * One message of the remoting protocol, with a JSON header.
 *
 * <pre>
 * 4 bytes   length of all that follows
 * 1 byte    0, a JSON header;  3 bytes its length
 * header, body
 * </pre>
 *
 * Source: docs/spec/remoting.md, sections 2 and 3.1. RocketMQ's own classes are not used: OpenChaos carries older ones.
 */
final class Frame {
    static final int RESPONSE = 1;
    static final int ONE_WAY = 2;
    /** Upstream's own limit. */
    static final int BYTES_MAX = 16 * 1024 * 1024;
    static final ObjectMapper JSON = new ObjectMapper();

    private static final byte[] NOTHING = new byte[0];

    final int code;
    final int opaque;
    final int flag;
    final Map<String, String> fields;
    final byte[] body;

    Frame(int code, int opaque, int flag, Map<String, String> fields, byte[] body) {
        this.code = code;
        this.opaque = opaque;
        this.flag = flag;
        this.fields = fields;
        this.body = body == null ? NOTHING : body;
    }

    byte[] encode() throws IOException {
        ObjectNode header = JSON.createObjectNode();
        header.put("code", code).put("flag", flag).put("language", "JAVA").put("opaque", opaque);
        header.put("serializeTypeCurrentRPC", "JSON").put("version", 0);
        ObjectNode named = header.putObject("extFields");
        fields.forEach(named::put);
        byte[] head = JSON.writeValueAsBytes(header);
        ByteArrayOutputStream bytes = new ByteArrayOutputStream(8 + head.length + body.length);
        DataOutputStream out = new DataOutputStream(bytes);
        out.writeInt(4 + head.length + body.length);
        out.writeInt(head.length);
        out.write(head);
        out.write(body);
        return bytes.toByteArray();
    }

    static Frame read(DataInputStream in) throws IOException {
        int length = in.readInt();
        int head = in.readInt();
        if (length < 4 || length > BYTES_MAX || head < 0 || head > length - 4) {
            throw new IOException("a frame of " + length + " bytes with a header of " + head);
        }
        byte[] header = new byte[head];
        in.readFully(header);
        byte[] body = new byte[length - 4 - head];
        in.readFully(body);
        JsonNode read = JSON.readTree(header);
        Map<String, String> fields = new HashMap<>();
        Iterator<Map.Entry<String, JsonNode>> named = read.path("extFields").fields();
        while (named.hasNext()) {
            Map.Entry<String, JsonNode> field = named.next();
            fields.put(field.getKey(), field.getValue().asText());
        }
        return new Frame(read.path("code").asInt(), read.path("opaque").asInt(), read.path("flag").asInt(), fields, body);
    }

    /** A whole number among the fields; {@code otherwise} if there is none of this name. */
    long number(String name, long otherwise) {
        String text = fields.get(name);
        return text == null ? otherwise : Long.parseLong(text);
    }
}
