package pitchover.openchaos;

import io.openchaos.driver.ChaosNode;
import io.openchaos.driver.kv.KVClient;
import io.openchaos.driver.kv.KVDriver;
import java.io.File;
import java.io.IOException;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A controller group as a key-value store, for OpenChaos; README.md has the two mappings. */
public final class ControllerDriver implements KVDriver {
    private static final Logger LOG = LoggerFactory.getLogger(ControllerDriver.class);

    private final AtomicInteger clients = new AtomicInteger();
    private Settings settings;
    private History history;

    @Override
    public void initialize(File file, List<String> nodes) throws IOException {
        settings = new Settings(file);
        history = new History(settings.history);
        if (settings.isRegister) {
            try {
                new Brokers(settings, history).enter();
            } catch (InterruptedException error) {
                Thread.currentThread().interrupt();
                throw new IOException("interrupted while brokers registered", error);
            }
        }
    }

    @Override
    public KVClient createClient() {
        int number = clients.getAndIncrement();
        Requests requests = new Requests(number, settings.addresses, history);
        return settings.isRegister ? new RegisterClient(requests, history) : new SetClient(requests);
    }

    @Override
    public ChaosNode createChaosNode(String node, List<String> nodes) {
        return new ControllerNode(settings, node);
    }

    @Override
    public String getStateName() {
        return ControllerState.class.getName();
    }

    /** All addresses: whichever lives tells who leads. */
    @Override
    public String getMetaNode() {
        return String.join(",", settings.addresses);
    }

    /** Without a name OpenChaos would not ask for the leader. */
    @Override
    public String getMetaName() {
        return Call.CLUSTER;
    }

    @Override
    public void shutdown() {
        try {
            history.close();
        } catch (IOException error) {
            LOG.error("the history is not complete", error);
        }
    }
}
