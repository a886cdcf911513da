import java.net.URI;
import java.util.concurrent.atomic.LongAdder;
import software.amazon.awssdk.services.cloudwatch.CloudWatchAsyncClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.kinesis.common.*;
import software.amazon.kinesis.coordinator.Scheduler;
import software.amazon.kinesis.lifecycle.events.*;
import software.amazon.kinesis.metrics.NullMetricsFactory;
import software.amazon.kinesis.processor.*;
import software.amazon.kinesis.retrieval.fanout.FanOutConfig;
import software.amazon.kinesis.retrieval.polling.PollingConfig;

/** NoOpConsumer ENDPOINT STREAM APPLICATION POLLING|FANOUT: reads everything, does nothing, prints how many there were. */
public final class NoOpConsumer implements ShardRecordProcessor {
    private static final LongAdder RECORDS = new LongAdder();

    public void initialize(InitializationInput input) { System.out.println("initialize " + input.shardId()); }

    public void processRecords(ProcessRecordsInput input) {
        RECORDS.add(input.records().size());
        store(input.checkpointer());
    }

    public void leaseLost(LeaseLostInput input) { }

    public void shardEnded(ShardEndedInput input) { store(input.checkpointer()); }

    public void shutdownRequested(ShutdownRequestedInput input) { }

    private static void store(RecordProcessorCheckpointer checkpointer) {
        try {
            checkpointer.checkpoint();
        } catch (Exception lost) {
            System.out.println("checkpoint " + lost);
        }
    }

    public static void main(String[] arguments) throws Exception {
        URI endpoint = URI.create(arguments[0]);
        KinesisAsyncClient kinesis = KinesisClientUtil.createKinesisAsyncClient(
            KinesisAsyncClient.builder().endpointOverride(endpoint));
        var position = InitialPositionInStreamExtended.newInitialPosition(InitialPositionInStream.TRIM_HORIZON);
        ConfigsBuilder configs = new ConfigsBuilder(
            new SingleStreamTracker(arguments[1], position), arguments[2], kinesis,
            DynamoDbAsyncClient.builder().endpointOverride(endpoint).build(),
            CloudWatchAsyncClient.builder().endpointOverride(endpoint).build(), "java", NoOpConsumer::new);
        var retrieval = configs.retrievalConfig().retrievalSpecificConfig(arguments[3].equals("FANOUT")
            ? new FanOutConfig(kinesis).streamName(arguments[1]).applicationName(arguments[2])
            : new PollingConfig(arguments[1], kinesis).idleTimeBetweenReadsInMillis(200));
        Thread worker = new Thread(new Scheduler(
            configs.checkpointConfig(), configs.coordinatorConfig(), configs.leaseManagementConfig(),
            configs.lifecycleConfig(), configs.metricsConfig().metricsFactory(new NullMetricsFactory()),
            configs.processorConfig(), retrieval));
        worker.start();
        for (long last = 0; worker.isAlive(); Thread.sleep(20)) {
            if (RECORDS.sum() != last) { System.out.println("records " + (last = RECORDS.sum())); }
        }
    }
}
