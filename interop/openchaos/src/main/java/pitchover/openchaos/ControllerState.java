package pitchover.openchaos;

import io.openchaos.driver.queue.QueueState;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Set;

/**
 * Tells OpenChaos who leads. Faults of the leader cast this class to {@code QueueState} whatever the model is, so it is one.
 */
public final class ControllerState implements QueueState {
    private static final int LOOK_MS = 200;
    private static final int LOOKS_MAX = 100;

    private List<String> addresses;
    private Leader leader;

    @Override
    public void initialize(String metaName, String metaNode) {
        addresses = Arrays.asList(metaNode.split(","));
        leader = new Leader(addresses);
    }

    /** Waits for a leader: OpenChaos would take an exception for an injection that was made. */
    @Override
    public Set<String> getLeader() {
        for (int look = 0; look < LOOKS_MAX; look++) {
            int node = leader.find();
            if (node >= 0) {
                return Collections.singleton(addresses.get(node));
            }
            try {
                Thread.sleep(LOOK_MS);
            } catch (InterruptedException error) {
                Thread.currentThread().interrupt();
                break;
            }
        }
        throw new IllegalStateException("no node says that it leads");
    }

    @Override
    public void close() {
        leader.close();
    }
}
