package pitchover.openchaos;

import io.openchaos.common.utils.KillProcessUtil;
import io.openchaos.common.utils.PauseProcessUtil;
import io.openchaos.common.utils.SshUtil;
import io.openchaos.driver.kv.KVNode;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One controller on one node, over ssh, with OpenChaos' own tools.
 *
 * The variants {@code ...InErl} are used because the others see only lines of {@code ps} with "java" in them.
 * OpenChaos swallows an exception of a node, so each is logged as an error, which a run is judged by.
 */
final class ControllerNode implements KVNode {
    private static final Logger LOG = LoggerFactory.getLogger(ControllerNode.class);

    private final Settings settings;
    private final String node;

    ControllerNode(Settings settings, String node) {
        this.settings = settings;
        this.node = node;
    }

    private interface Deed {
        void run() throws Exception;
    }

    private void attempt(String what, Deed deed) {
        try {
            deed.run();
            LOG.info("{} at {}: done", what, node);
        } catch (Exception error) {
            LOG.error("{} at {} failed", what, node, error);
        }
    }

    @Override
    public void setup() {
        // `cargo xtask openchaos` has set it up.
    }

    @Override
    public void teardown() {
        stop();
    }

    @Override
    public void start() {
        attempt("start", () -> SshUtil.execCommand(node, settings.start));
    }

    @Override
    public void stop() {
        attempt("stop", () -> KillProcessUtil.kill(node, settings.process));
    }

    @Override
    public void kill() {
        attempt("kill", () -> KillProcessUtil.forceKillInErl(node, settings.process));
    }

    @Override
    public void pause() {
        attempt("suspend", () -> PauseProcessUtil.suspend(node, settings.process));
    }

    @Override
    public void resume() {
        attempt("resume", () -> PauseProcessUtil.resumeInErl(node, settings.process));
    }
}
