package pitchover.interop;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;
import org.apache.rocketmq.remoting.protocol.RemotingSerializable;
import org.apache.rocketmq.remoting.protocol.RequestCode;
import org.apache.rocketmq.remoting.protocol.ResponseCode;
import org.apache.rocketmq.remoting.protocol.body.BrokerReplicasInfo.ReplicaIdentity;
import org.apache.rocketmq.remoting.protocol.body.BrokerReplicasInfo.ReplicasInfo;
import org.apache.rocketmq.remoting.protocol.body.SyncStateSet;
import org.apache.rocketmq.remoting.protocol.header.controller.GetReplicaInfoRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.controller.GetReplicaInfoResponseHeader;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;
import org.apache.rocketmq.tools.command.CommandUtil;

/**
 * The official administration client, asked in lines: one question a line (words parted by tabs) on standard input; on
 * standard output the answer's lines and then {@code end}.
 *
 * <pre>
 * leader ADDRESS         leader ADDRESS (may be empty)
 * state ADDRESS SET      state MASTER-ID MASTER-ADDRESS MASTER-EPOCH SET-EPOCH, then per replica: in|behind ID ADDRESS ALIVE
 * poll ADDRESS SET       polled CODE MASTER-EPOCH SET-EPOCH (what a broker is told there; the epochs are -1 unless the code is 0)
 * roles SET              per broker that answers: role ADDRESS ID-AT-THE-NAME-SERVER ID-IT-HAS-ITSELF (0 is the master)
 * topic CLUSTER NAME     topic MASTERS
 * </pre>
 *
 * Whatever goes wrong is one line {@code error REASON}. The suite asks many times a second; what is compared with
 * recorded output is asked with mqadmin itself.
 */
public final class Admin {
    private static final int TOPIC_QUEUES = 4;
    private static final int POLL_TIMEOUT_MS = 3_000;

    private final DefaultMQAdminExt client = new DefaultMQAdminExt();

    private Admin() {
    }

    public static void main(String[] args) throws Exception {
        Admin admin = new Admin();
        admin.client.start();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            try {
                admin.answer(line.split("\t"));
            } catch (Exception error) {
                tell("error", error.toString().replace('\n', ' ').replace('\t', ' '));
            }
            tell("end");
            System.out.flush();
        }
        // The client library leaves threads behind.
        System.exit(0);
    }

    private void answer(String[] words) throws Exception {
        switch (words[0]) {
            case "leader":
                String leader = client.getControllerMetaData(words[1]).getControllerLeaderAddress();
                tell("leader", leader == null ? "" : leader);
                break;
            case "state":
                state(words[1], words[2]);
                break;
            case "poll":
                poll(words[1], words[2]);
                break;
            case "roles":
                roles(words[1]);
                break;
            case "topic":
                topic(words[1], words[2]);
                break;
            default:
                throw new IllegalArgumentException(words[0]);
        }
    }

    private void state(String controller, String set) throws Exception {
        List<String> sets = Collections.singletonList(set);
        ReplicasInfo info = client.getInSyncStateData(controller, sets).getReplicasInfoTable().get(set);
        if (info == null) {
            throw new IllegalStateException("unknown set");
        }
        tell("state", info.getMasterBrokerId(), info.getMasterAddress(), info.getMasterEpoch(), info.getSyncStateSetEpoch());
        for (ReplicaIdentity replica : info.getInSyncReplicas()) {
            tell("in", replica.getBrokerId(), replica.getBrokerAddress(), replica.getAlive());
        }
        for (ReplicaIdentity replica : info.getNotInSyncReplicas()) {
            tell("behind", replica.getBrokerId(), replica.getBrokerAddress(), replica.getAlive());
        }
    }

    /** As a broker asks: this controller and no other. */
    private void poll(String controller, String set) throws Exception {
        RemotingCommand request = RemotingCommand.createRequestCommand(
            RequestCode.CONTROLLER_GET_REPLICA_INFO, new GetReplicaInfoRequestHeader(set));
        RemotingCommand answer = client.getDefaultMQAdminExtImpl().getMqClientInstance().getMQClientAPIImpl()
            .getRemotingClient().invokeSync(controller, request, POLL_TIMEOUT_MS);
        if (answer.getCode() != ResponseCode.SUCCESS) {
            tell("polled", answer.getCode(), -1, -1);
            return;
        }
        Object header = answer.decodeCommandCustomHeader(GetReplicaInfoResponseHeader.class);
        SyncStateSet members = RemotingSerializable.decode(answer.getBody(), SyncStateSet.class);
        int masterEpoch = ((GetReplicaInfoResponseHeader) header).getMasterEpoch();
        tell("polled", answer.getCode(), masterEpoch, members.getSyncStateSetEpoch());
    }

    private void roles(String set) throws Exception {
        Map<Long, String> brokers =
            client.examineBrokerClusterInfo().getBrokerAddrTable().get(set).getBrokerAddrs();
        for (Map.Entry<Long, String> broker : brokers.entrySet()) {
            String address = broker.getValue();
            try {
                tell("role", address, broker.getKey(), client.getBrokerEpochCache(address).getBrokerId());
            } catch (Exception error) {
                // Dead, and the name server has not noticed yet.
                System.err.println(address + ": " + error);
            }
        }
    }

    private void topic(String cluster, String name) throws Exception {
        Set<String> masters = CommandUtil.fetchMasterAddrByClusterName(client, cluster);
        for (String master : masters) {
            client.createAndUpdateTopicConfig(master, new TopicConfig(name, TOPIC_QUEUES, TOPIC_QUEUES));
        }
        tell("topic", masters.size());
    }

    private static void tell(Object... words) {
        StringBuilder line = new StringBuilder();
        for (Object word : words) {
            line.append(line.length() == 0 ? "" : "\t").append(word);
        }
        System.out.println(line);
    }
}
