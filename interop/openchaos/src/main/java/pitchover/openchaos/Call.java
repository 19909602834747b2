package pitchover.openchaos;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The requests of the two mappings, and what their answers say, as one line of a history each.
 *
 * Source: docs/spec/controller-requests.md; the lines are those of crates/workload/src/history.rs.
 */
final class Call {
    static final int HEARTBEAT = 904;
    static final int ALTER = 1001;
    static final int ELECT = 1002;
    static final int REGISTER = 1003;
    static final int READ = 1004;
    static final int METADATA = 1005;
    static final int NEXT_ID = 1012;
    static final int APPLY_ID = 1013;

    static final int SUCCESS = 0;
    /** Codes that leave open whether the request took effect. */
    private static final int SYSTEM_ERROR = 1;
    private static final int GO_AWAY = 1500;
    private static final int JRAFT_INTERNAL_ERROR = 2015;
    static final int NOT_LEADER = 2007;
    /** There is a master, who may come from an election whose answer was lost. */
    static final int MASTER_STILL_EXISTS = 2011;

    static final String CLUSTER = "openchaos";
    static final long NOBODY = -1;

    final int code;
    final String set;
    final Map<String, String> fields = new LinkedHashMap<>();
    final byte[] body;
    /** What is asked, for the history. */
    final JsonNode told;

    private Call(int code, String set, JsonNode told, byte[] body) {
        this.code = code;
        this.set = set;
        this.told = told;
        this.body = body;
        fields.put("clusterName", CLUSTER);
        fields.put("brokerName", set);
    }

    static Call read(String set) {
        return new Call(READ, set, Frame.JSON.getNodeFactory().textNode("read"), null);
    }

    static Call nextId(String set) {
        return new Call(NEXT_ID, set, Frame.JSON.getNodeFactory().textNode("readNextId"), null);
    }

    static Call applyId(String set, long id, String checkCode) {
        ObjectNode told = Frame.JSON.createObjectNode();
        told.putObject("applyId").put("id", id).put("checkCode", checkCode);
        Call call = new Call(APPLY_ID, set, told, null);
        call.fields.put("appliedBrokerId", Long.toString(id));
        call.fields.put("registerCheckCode", checkCode);
        return call;
    }

    static Call register(String set, long id, String address) {
        ObjectNode told = Frame.JSON.createObjectNode();
        told.putObject("register").put("id", id);
        Call call = new Call(REGISTER, set, told, null);
        call.fields.put("brokerId", Long.toString(id));
        call.fields.put("brokerAddress", address);
        return call;
    }

    static Call elect(String set, long id) {
        ObjectNode told = Frame.JSON.createObjectNode();
        told.putObject("elect").put("id", id).put("designate", false);
        Call call = new Call(ELECT, set, told, null);
        call.fields.put("brokerId", Long.toString(id));
        return call;
    }

    static Call alter(String set, Seen held, List<Long> wanted) {
        ObjectNode told = Frame.JSON.createObjectNode();
        ObjectNode alter = told.putObject("alter");
        alter.put("master", held.master).put("masterEpoch", held.masterEpoch).put("setEpoch", held.setEpoch);
        list(alter.putArray("newSet"), wanted);
        ObjectNode body = Frame.JSON.createObjectNode();
        list(body.putArray("syncStateSet"), wanted);
        body.put("syncStateSetEpoch", held.setEpoch);
        Call call = new Call(ALTER, set, told, body.toString().getBytes(StandardCharsets.UTF_8));
        call.fields.put("masterBrokerId", Long.toString(held.master));
        call.fields.put("masterEpoch", Integer.toString(held.masterEpoch));
        return call;
    }

    private static void list(ArrayNode into, List<Long> ids) {
        ids.forEach(into::add);
    }

    /** Whether an answer leaves open what happened. */
    static boolean isOpen(int code) {
        return code == SYSTEM_ERROR || code == GO_AWAY || code == JRAFT_INTERNAL_ERROR;
    }

    /** What a successful answer to this call shows. */
    Seen seen(Frame answer) throws IOException {
        Seen seen = new Seen();
        if (code == NEXT_ID) {
            seen.nextId = answer.number("nextBrokerId", 0);
        } else if (code == READ || code == ALTER) {
            JsonNode body = Frame.JSON.readTree(answer.body);
            seen.setEpoch = body.path("syncStateSetEpoch").asInt();
            seen.members = new ArrayList<>();
            body.path("syncStateSet").forEach(id -> seen.members.add(id.asLong()));
            boolean isRead = code == READ;
            seen.masterEpoch = isRead ? (int) answer.number("masterEpoch", 0) : told.path("alter").path("masterEpoch").asInt();
            seen.master = isRead ? answer.number("masterBrokerId", NOBODY) : told.path("alter").path("master").asLong();
        } else if (code == ELECT) {
            seen.masterEpoch = (int) answer.number("masterEpoch", 0);
            seen.setEpoch = (int) answer.number("syncStateSetEpoch", 0);
            seen.master = answer.number("masterBrokerId", NOBODY);
        }
        return seen;
    }

    /** What an answer shows of a broker set. */
    static final class Seen {
        /** 0 where the answer does not show it; the two epochs begin with 1 at the first election. */
        int masterEpoch;
        int setEpoch;
        long master = NOBODY;
        List<Long> members;
        long nextId;

        /** As a history tells it. */
        ObjectNode told() {
            ObjectNode seen = Frame.JSON.createObjectNode();
            if (nextId > 0) {
                return seen.put("nextId", nextId);
            }
            if (members != null || masterEpoch > 0) {
                seen.put("masterEpoch", masterEpoch).put("setEpoch", setEpoch).put("master", master);
            }
            if (members != null) {
                list(seen.putArray("syncStateSet"), members);
            }
            return seen;
        }
    }
}
