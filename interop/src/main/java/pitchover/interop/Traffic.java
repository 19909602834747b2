package pitchover.interop;

import java.io.BufferedReader;
import java.io.File;
import java.io.FileWriter;
import java.io.InputStreamReader;
import java.io.PrintWriter;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.Collection;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Collectors;
import org.apache.rocketmq.client.ClientConfig;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.common.message.MessageId;

/**
 * A producer and a consumer of the official client that run through every failure, and remember each
 * acknowledged and each consumed message.
 *
 * Arguments: name server, topic, file for the sends, and perhaps {@code reread}. On standard input, one word a line: {@code status} answers
 * with the counts and the longest pause between two acknowledgements since {@code mark}; {@code hold} answers when
 * nothing is being sent any more, {@code go} starts sending again; {@code stop} ends the producer, waits until everything
 * acknowledged was consumed, and answers with what is missing. With {@code reread} the topic is always read again, so that what
 * was consumed and is no longer stored counts as lost, too; the ids of what is lost go to {@code lost.txt} beside the file.
 *
 * The file holds one line per send, written before it is counted, words parted by tabs: id, when it began and ended (ns of
 * System.nanoTime, which is CLOCK_MONOTONIC on Linux), its status or the kind of its failure, the broker that stored it and the
 * offset in that one's log ({@code -} if no status told).
 *
 * A message counts as acknowledged only with SEND_OK: any other status, an error or a time-out promises nothing,
 * and that id is never sent again.
 */
public final class Traffic {
    private static final int SEND_TIMEOUT_MS = 3_000;
    private static final int SEND_PAUSE_MS = 10;
    private static final int FAILURE_PAUSE_MS = 100;
    private static final int CATCH_UP_MS_MAX = 60_000;
    private static final int REREAD_MS_MAX = 60_000;
    private static final int MISSING_SHOWN_MAX = 20;

    private final String namesrv;
    private final String topic;
    private final PrintWriter sends;
    private final File lostIds;
    private final boolean isReread;
    private final Set<Long> acknowledged = ConcurrentHashMap.newKeySet();
    private final Set<Long> consumed = ConcurrentHashMap.newKeySet();
    private final AtomicLong failed = new AtomicLong();
    private final AtomicLong longestPauseMs = new AtomicLong();
    private volatile long lastAcknowledgedAt = System.nanoTime();
    private volatile boolean isStopping;
    /** Held by the sender for each message, and by {@code hold} until {@code go}. */
    private final Semaphore turn = new Semaphore(1, true);

    private Traffic(String namesrv, String topic, PrintWriter sends, File lostIds, boolean isReread) {
        this.namesrv = namesrv;
        this.topic = topic;
        this.sends = sends;
        this.lostIds = lostIds;
        this.isReread = isReread;
    }

    public static void main(String[] args) throws Exception {
        File file = new File(args[2]);
        boolean isReread = args.length > 3 && args[3].equals("reread");
        try (PrintWriter sends = new PrintWriter(new FileWriter(file), true)) {
            new Traffic(args[0], args[1], sends, new File(file.getParentFile(), "lost.txt"), isReread).run();
        }
        System.exit(0);
    }

    private void run() throws Exception {
        DefaultMQPushConsumer consumer = consumer("interop-consumer", consumed);
        DefaultMQProducer producer = new DefaultMQProducer("interop-producer");
        hurry(producer);
        producer.setSendMsgTimeout(SEND_TIMEOUT_MS);
        producer.start();
        Thread sender = new Thread(() -> send(producer), "sender");
        sender.start();

        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        // The end of input is a stop too: nobody is left to hear the answer.
        for (String word = in.readLine(); word != null && !word.equals("stop"); word = in.readLine()) {
            switch (word) {
                case "hold":
                    turn.acquire();
                    break;
                case "go":
                    turn.release();
                    mark();
                    break;
                case "mark":
                    mark();
                    break;
                default:
                    break;
            }
            System.out.println("status " + counts());
        }
        isStopping = true;
        // It may have been on hold.
        turn.release();
        sender.join();
        String missing = missing();
        System.out.println("result " + counts() + " " + missing);
        producer.shutdown();
        consumer.shutdown();
    }

    private void mark() {
        longestPauseMs.set(0);
        lastAcknowledgedAt = System.nanoTime();
    }

    private void send(DefaultMQProducer producer) {
        for (long id = 0; !isStopping; id++) {
            turn.acquireUninterruptibly();
            boolean isAcknowledged = false;
            long began = System.nanoTime();
            String said;
            String where = "-\t-";
            try {
                byte[] body = Long.toString(id).getBytes(StandardCharsets.UTF_8);
                SendResult result = producer.send(new Message(topic, body));
                isAcknowledged = result.getSendStatus() == SendStatus.SEND_OK;
                said = result.getSendStatus().name();
                MessageId stored = MessageDecoder.decodeMessageId(result.getOffsetMsgId());
                InetSocketAddress host = (InetSocketAddress) stored.getAddress();
                where = host.getAddress().getHostAddress() + ":" + host.getPort() + "\t" + stored.getOffset();
            } catch (Exception error) {
                System.err.println(id + ": " + error);
                said = error.getClass().getSimpleName();
            }
            sends.println(id + "\t" + began + "\t" + System.nanoTime() + "\t" + said + "\t" + where);
            if (isAcknowledged) {
                acknowledged.add(id);
                longestPauseMs.accumulateAndGet(pauseMs(), Math::max);
                lastAcknowledgedAt = System.nanoTime();
            } else {
                failed.incrementAndGet();
            }
            turn.release();
            sleep(isAcknowledged ? SEND_PAUSE_MS : FAILURE_PAUSE_MS);
        }
    }

    private DefaultMQPushConsumer consumer(String group, Set<Long> seen) throws Exception {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group);
        hurry(consumer);
        consumer.setInstanceName(group);
        consumer.setPersistConsumerOffsetInterval(1_000);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(message -> seen.add(Long.valueOf(new String(message.getBody(), StandardCharsets.UTF_8))));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        return consumer;
    }

    /** A client learns of a new master when it asks the name server again: every second instead of every 30. */
    private void hurry(ClientConfig client) {
        client.setNamesrvAddr(namesrv);
        client.setPollNameServerInterval(1_000);
        client.setHeartbeatBrokerInterval(1_000);
    }

    private String counts() {
        long pauseMs = Math.max(longestPauseMs.get(), pauseMs());
        return "acknowledged=" + acknowledged.size() + " failed=" + failed.get() + " consumed=" + consumed.size()
            + " pause_ms=" + pauseMs;
    }

    /**
     * What the running consumer did not get; if anything, or if that is wanted, the topic is read again from its start by a
     * new group, which tells a lost message from one that was not delivered.
     */
    private String missing() throws Exception {
        awaitAll(consumed, CATCH_UP_MS_MAX);
        Set<Long> undelivered = without(consumed);
        Set<Long> lost = new TreeSet<>();
        if (isReread || !undelivered.isEmpty()) {
            Set<Long> stored = ConcurrentHashMap.newKeySet();
            DefaultMQPushConsumer again = consumer("interop-again", stored);
            awaitAll(stored, REREAD_MS_MAX);
            lost = without(stored);
            again.shutdown();
        }
        Files.write(lostIds.toPath(), lost.stream().map(String::valueOf).collect(Collectors.toList()));
        System.err.println("undelivered: " + first(undelivered) + ", lost: " + first(lost));
        return "undelivered=" + undelivered.size() + " lost=" + lost.size();
    }

    private void awaitAll(Set<Long> seen, int limitMs) {
        for (int waitedMs = 0; waitedMs < limitMs && !seen.containsAll(acknowledged); waitedMs += 100) {
            sleep(100);
        }
    }

    private Set<Long> without(Set<Long> seen) {
        Set<Long> missing = new TreeSet<>(acknowledged);
        missing.removeAll(seen);
        return missing;
    }

    private static String first(Collection<Long> ids) {
        StringBuilder text = new StringBuilder();
        ids.stream().limit(MISSING_SHOWN_MAX).forEach(id -> text.append(id).append(' '));
        return text.toString().trim();
    }

    private long pauseMs() {
        return TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - lastAcknowledgedAt);
    }

    private static void sleep(long ms) {
        try {
            Thread.sleep(ms);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        }
    }
}
