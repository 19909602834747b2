package pitchover.openchaos;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.List;

/**
 * What this driver reads of the driver file, beside what OpenChaos reads of it ({@code name}, {@code driverClass},
 * {@code nodes}).
 *
 * <pre>
 * mapping: register      # or set; see README.md
 * port: 9878             # of every controller
 * brokers: 10.78.0.100   # the address at which brokers are said to be; this process listens there
 * history: FILE          # what this driver saw
 * start: FILE            # a program on each node that becomes the controller
 * process: WORD          # by which `ps ax` shows it, and nothing else
 * </pre>
 */
final class Settings {
    final List<String> nodes = new ArrayList<>();
    final List<String> addresses = new ArrayList<>();
    final boolean isRegister;
    final String brokers;
    final Path history;
    final String start;
    final String process;

    Settings(File file) throws IOException {
        JsonNode read = new ObjectMapper(new YAMLFactory()).readTree(file);
        String port = word(read, "port");
        for (JsonNode node : read.path("nodes")) {
            nodes.add(node.asText());
            addresses.add(node.asText() + ":" + port);
        }
        String mapping = word(read, "mapping");
        isRegister = mapping.equals("register");
        if (!isRegister && !mapping.equals("set")) {
            throw new IOException("mapping is register or set, not " + mapping);
        }
        brokers = word(read, "brokers");
        history = Paths.get(word(read, "history"));
        start = word(read, "start");
        process = word(read, "process");
    }

    private static String word(JsonNode read, String name) throws IOException {
        String word = read.path(name).asText();
        if (word.isEmpty()) {
            throw new IOException("the driver file lacks " + name);
        }
        return word;
    }
}
