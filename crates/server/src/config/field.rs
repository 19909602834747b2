//! Every key we know, as one table: whose it is, its Java type, its default, and what it does here.
//!
//! | Column | Meaning |
//! |---|---|
//! | owner | the Java object with the setter, which decides where the key is listed and updatable |
//! | key | the setter's name, the spelling of property files |
//! | kind | how a text is converted, and what is refused in silence |
//! | default | Java's, or ours for `pitchover.*` |
//! | effect | whether it acts here; a key without effect is accepted and reported |
//!
//! Rows of one owner stand in the order in which Java declares the fields: `-p` prints them so.
//! The two `writeBuffer…WaterMark` keys belong to two objects and have two rows; one line in a file
//! sets both, so they share one value.
//!
//! Source: upstream `ControllerConfig`, `JraftConfig`, `NettyServerConfig`, `NettyClientConfig`,
//! `NettySystemConfig`, `TlsSystemConfig`, `AuthConfig`.

/// The Java object (or our own part) that holds a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// `ControllerConfig`: listed by 1010, updatable by 1009.
    Controller,
    /// `JraftConfig`: printed by `-p`, neither listed nor updatable.
    Jraft,
    /// `NettyServerConfig`: listed and updatable.
    Server,
    /// `NettyClientConfig`: printed by `-p`, neither listed nor updatable.
    Client,
    /// JVM properties of the remoting layer and of its TLS.
    Remoting,
    /// Access control, which upstream has for the broker and proposes for the controller.
    Access,
    /// Ours.
    Pitchover,
}

/// How a text becomes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `Integer.parseInt`: exact, no blanks.
    Int,
    /// `Long.parseLong`: exact, no blanks.
    Long,
    /// `Boolean.parseBoolean`: true only for `true` in any case, everything else is false.
    Boolean,
    /// A string, trimmed.
    Text,
    /// A string that must not be shown, trimmed.
    Secret,
    /// `MetricsExporterType`: an exact name, or a number of which only 1, 2 and 3 mean something.
    ExporterType,
    /// One of these words. Only for our own keys: anything else is an error at start.
    Choice(&'static [&'static str]),
    /// A whole number within these bounds. Only for our own keys.
    Within(i64, i64),
}

/// The value before any source was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initial {
    /// Java's `null`: left out of 1010, empty in `-p`.
    Null,
    /// This text.
    Value(&'static str),
    /// A path below the user's home folder.
    Home(&'static str),
    /// How many processors there are.
    Processors,
}

/// What a key does here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// As in Java, or as documented for our own keys.
    Acts,
    /// In another way; the text says how.
    Differs(&'static str),
    /// Nothing; setting it is reported.
    Ignored,
    /// Nothing yet; setting it is reported more loudly.
    Planned,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Whose it is.
    pub owner: Owner,
    /// The spelling of property files: the setter's name.
    pub key: &'static str,
    /// The spelling of 1010 and `-p`: the Java field's name, which differs for two keys.
    pub shown: &'static str,
    /// How a text is converted.
    pub kind: Kind,
    /// The value before any source was read.
    pub initial: Initial,
    /// What it does here.
    pub effect: Effect,
}

/// The row of `key`, in either spelling; for a key with two rows the first.
pub fn find(key: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.key == key || field.shown == key)
}

/// Whether `key` is in the table or below one of [`OPEN_PREFIXES`].
#[must_use]
pub fn is_known(key: &str) -> bool {
    find(key).is_some() || OPEN_PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

/// Keys below these are known without a row of their own.
pub const OPEN_PREFIXES: &[&str] = &["pitchover.audit.", LIMITS_PREFIX];

/// Limits by name: `pitchover.limits.<name>`, whole numbers.
pub const LIMITS_PREFIX: &str = "pitchover.limits.";

/// The names below [`LIMITS_PREFIX`] that act: bytes of a journal's segment, how long the beginning and the whole of a
/// frame may take, what unfinished frames and unread answers of all may occupy, and how long a client may take nothing
/// of what waits for it. Any other name is reported and not kept.
pub const LIMIT_NAMES: [&str; 6] = [
    "segmentBytes",
    "headerDeadlineMs",
    "frameDeadlineMs",
    "inboundBytesMax",
    "outboundBytesMax",
    "outboundStallMs",
];

/// A line that Java lists for a field without a usable value; never an unknown key when read back.
pub const JRAFT_CONFIG_LINE: &str = "jraftConfig";

use Effect::{Acts, Differs, Ignored, Planned};
use Initial::{Home, Null, Processors, Value};
use Kind::{Boolean, Choice, ExporterType, Int, Long, Secret, Text, Within};
use Owner::{Access, Client, Controller, Jraft, Pitchover, Remoting, Server};

const STORE: Effect = Differs("default ~/PitchoverController; ours in a sub-folder of its own");
const QUEUE: Effect = Differs("our admission limit if lower than ours");
const FRAME: Effect = Differs("the limit is fixed at 16777216");
const LISTEN_PORT: Effect = Differs("the port of the own peer entry is used");

const fn row(
    owner: Owner,
    key: &'static str,
    kind: Kind,
    initial: Initial,
    effect: Effect,
) -> Field {
    Field { owner, key, shown: key, kind, initial, effect }
}

const fn shown(field: Field, shown: &'static str) -> Field {
    Field { shown, ..field }
}

/// All keys.
#[rustfmt::skip]
pub const FIELDS: &[Field] = &[
    row(Controller, "rocketmqHome", Text, Null, Acts),
    row(Controller, "configStorePath", Text, Home("controller/controller.properties"), Acts),
    row(Controller, "controllerType", Text, Value("DLedger"), Acts),
    row(Controller, "scanNotActiveBrokerInterval", Long, Value("5000"), Ignored),
    row(Controller, "controllerThreadPoolNums", Int, Value("16"), Ignored),
    row(Controller, "controllerRequestThreadPoolQueueCapacity", Int, Value("50000"), QUEUE),
    row(Controller, "controllerDLegerGroup", Text, Null, Acts),
    row(Controller, "controllerDLegerPeers", Text, Null, Acts),
    row(Controller, "controllerDLegerSelfId", Text, Null, Acts),
    row(Controller, "mappedFileSize", Int, Value("1073741824"), Ignored),
    row(Controller, "controllerStorePath", Text, Value(""), STORE),
    row(Controller, "electMasterMaxRetryCount", Int, Value("3"), Ignored),
    row(Controller, "enableElectUncleanMaster", Boolean, Value("false"), Acts),
    shown(row(Controller, "processReadEvent", Boolean, Value("false"), Ignored), "isProcessReadEvent"),
    row(Controller, "notifyBrokerRoleChanged", Boolean, Value("true"), Acts),
    row(Controller, "scanInactiveMasterInterval", Long, Value("5000"), Ignored),
    row(Controller, "metricsExporterType", ExporterType, Value("DISABLE"), Acts),
    row(Controller, "metricsGrpcExporterTarget", Text, Value(""), Acts),
    row(Controller, "metricsGrpcExporterHeader", Secret, Value(""), Acts),
    row(Controller, "metricGrpcExporterTimeOutInMills", Long, Value("3000"), Acts),
    row(Controller, "metricGrpcExporterIntervalInMills", Long, Value("60000"), Acts),
    row(Controller, "metricLoggingExporterIntervalInMills", Long, Value("10000"), Acts),
    row(Controller, "metricsPromExporterPort", Int, Value("5557"), Acts),
    row(Controller, "metricsPromExporterHost", Text, Value(""), Acts),
    row(Controller, "metricsLabel", Text, Value(""), Acts),
    row(Controller, "metricsInDelta", Boolean, Value("false"), Acts),
    row(Controller, "configBlackList", Text, Value("configBlackList;configStorePath"), Acts),

    row(Jraft, "jRaftElectionTimeoutMs", Int, Value("1000"), Acts),
    row(Jraft, "jRaftScanWaitTimeoutMs", Int, Value("1000"), Ignored),
    row(Jraft, "jRaftSnapshotIntervalSecs", Int, Value("3600"), Ignored),
    row(Jraft, "jRaftGroupId", Text, Value("jRaft-Controller"), Acts),
    row(Jraft, "jRaftServerId", Text, Value("localhost:9880"), Acts),
    row(Jraft, "jRaftInitConf", Text, Value("localhost:9880,localhost:9881,localhost:9882"), Acts),
    row(Jraft, "jRaftControllerRPCAddr", Text, Value("localhost:9770,localhost:9771,localhost:9772"), Acts),

    row(Server, "bindAddress", Text, Value("0.0.0.0"), Acts),
    row(Server, "listenPort", Int, Value("19876"), LISTEN_PORT),
    row(Server, "serverWorkerThreads", Int, Value("8"), Ignored),
    row(Server, "serverCallbackExecutorThreads", Int, Value("0"), Ignored),
    row(Server, "serverSelectorThreads", Int, Value("3"), Ignored),
    row(Server, "serverOnewaySemaphoreValue", Int, Value("256"), Ignored),
    row(Server, "serverAsyncSemaphoreValue", Int, Value("64"), Ignored),
    row(Server, "serverChannelMaxIdleTimeSeconds", Int, Value("120"), Acts),
    row(Server, "serverSocketSndBufSize", Int, Value("0"), Acts),
    row(Server, "serverSocketRcvBufSize", Int, Value("0"), Acts),
    row(Server, "writeBufferHighWaterMark", Int, Value("0"), Ignored),
    row(Server, "writeBufferLowWaterMark", Int, Value("0"), Ignored),
    row(Server, "serverSocketBacklog", Int, Value("1024"), Ignored),
    row(Server, "serverNettyWorkerGroupEnable", Boolean, Value("true"), Ignored),
    row(Server, "serverPooledByteBufAllocatorEnable", Boolean, Value("true"), Ignored),
    row(Server, "enableShutdownGracefully", Boolean, Value("false"), Acts),
    row(Server, "shutdownWaitTimeSeconds", Int, Value("30"), Ignored),
    row(Server, "useEpollNativeSelector", Boolean, Value("false"), Ignored),

    row(Client, "clientWorkerThreads", Int, Value("4"), Ignored),
    row(Client, "clientCallbackExecutorThreads", Int, Processors, Ignored),
    row(Client, "clientOnewaySemaphoreValue", Int, Value("65535"), Ignored),
    row(Client, "clientAsyncSemaphoreValue", Int, Value("65535"), Ignored),
    row(Client, "connectTimeoutMillis", Int, Value("3000"), Acts),
    row(Client, "channelNotActiveInterval", Long, Value("60000"), Ignored),
    shown(row(Client, "scanAvailableNameSrv", Boolean, Value("true"), Ignored), "isScanAvailableNameSrv"),
    row(Client, "clientChannelMaxIdleTimeSeconds", Int, Value("120"), Ignored),
    row(Client, "clientSocketSndBufSize", Int, Value("0"), Ignored),
    row(Client, "clientSocketRcvBufSize", Int, Value("0"), Ignored),
    row(Client, "clientPooledByteBufAllocatorEnable", Boolean, Value("false"), Ignored),
    row(Client, "clientCloseSocketIfTimeout", Boolean, Value("true"), Ignored),
    row(Client, "useTLS", Boolean, Value("false"), Planned),
    row(Client, "socksProxyConfig", Text, Value("{}"), Ignored),
    row(Client, "writeBufferHighWaterMark", Int, Value("0"), Ignored),
    row(Client, "writeBufferLowWaterMark", Int, Value("0"), Ignored),
    row(Client, "disableCallbackExecutor", Boolean, Value("false"), Ignored),
    row(Client, "disableNettyWorkerGroup", Boolean, Value("false"), Ignored),
    row(Client, "maxReconnectIntervalTimeSeconds", Long, Value("60"), Ignored),
    row(Client, "enableReconnectForGoAway", Boolean, Value("true"), Ignored),

    row(Remoting, "rocketmq.serialize.type", Text, Value("JSON"), Acts),
    row(Remoting, "rocketmq.remoting.version", Int, Value("0"), Ignored),
    row(Remoting, "com.rocketmq.remoting.frameMaxLength", Int, Value("16777216"), FRAME),
    row(Remoting, "com.rocketmq.remoting.socket.sndbuf.size", Int, Value("0"), Ignored),
    row(Remoting, "com.rocketmq.remoting.socket.rcvbuf.size", Int, Value("0"), Ignored),
    row(Remoting, "com.rocketmq.remoting.client.worker.size", Int, Value("4"), Ignored),
    row(Remoting, "com.rocketmq.remoting.client.connect.timeout", Int, Value("3000"), Ignored),
    row(Remoting, "com.rocketmq.remoting.client.channel.maxIdleTimeSeconds", Int, Value("120"), Ignored),
    row(Remoting, "com.rocketmq.remoting.client.closeSocketIfTimeout", Boolean, Value("true"), Ignored),
    row(Remoting, "com.rocketmq.remoting.clientAsyncSemaphoreValue", Int, Value("65535"), Ignored),
    row(Remoting, "com.rocketmq.remoting.clientOnewaySemaphoreValue", Int, Value("65535"), Ignored),
    row(Remoting, "com.rocketmq.remoting.write.buffer.high.water.mark", Int, Value("0"), Ignored),
    row(Remoting, "com.rocketmq.remoting.write.buffer.low.water.mark", Int, Value("0"), Ignored),
    row(Remoting, "tls.config.file", Text, Value("/etc/rocketmq/tls.properties"), Acts),
    row(Remoting, "tls.enable", Boolean, Value("false"), Planned),
    row(Remoting, "tls.test.mode.enable", Boolean, Value("true"), Planned),
    row(Remoting, "tls.server.mode", Text, Value("permissive"), Planned),
    row(Remoting, "tls.server.keyPath", Text, Null, Planned),
    row(Remoting, "tls.server.keyPassword", Secret, Null, Planned),
    row(Remoting, "tls.server.certPath", Text, Null, Planned),
    row(Remoting, "tls.server.trustCertPath", Text, Null, Planned),
    row(Remoting, "tls.server.authClient", Boolean, Value("false"), Planned),
    row(Remoting, "tls.server.need.client.auth", Text, Value("none"), Planned),
    row(Remoting, "tls.client.keyPath", Text, Null, Planned),
    row(Remoting, "tls.client.keyPassword", Secret, Null, Planned),
    row(Remoting, "tls.client.certPath", Text, Null, Planned),
    row(Remoting, "tls.client.trustCertPath", Text, Null, Planned),
    row(Remoting, "tls.client.authServer", Boolean, Value("false"), Planned),

    row(Access, "authConfigPath", Text, Null, Planned),
    row(Access, "authenticationEnabled", Boolean, Value("false"), Planned),
    row(Access, "authenticationProvider", Text, Null, Planned),
    row(Access, "authenticationMetadataProvider", Text, Null, Planned),
    row(Access, "authenticationStrategy", Text, Null, Planned),
    row(Access, "authenticationWhitelist", Text, Null, Planned),
    row(Access, "authorizationEnabled", Boolean, Value("false"), Planned),
    row(Access, "authorizationProvider", Text, Null, Planned),
    row(Access, "authorizationMetadataProvider", Text, Null, Planned),
    row(Access, "authorizationStrategy", Text, Null, Planned),
    row(Access, "authorizationWhitelist", Text, Null, Planned),
    row(Access, "initAuthenticationUser", Secret, Null, Planned),
    row(Access, "innerClientAuthenticationCredentials", Secret, Null, Planned),

    row(Pitchover, "pitchover.adminAddr", Text, Value("127.0.0.1:9557"), Acts),
    row(Pitchover, "pitchover.advertisedAddr", Text, Value(""), Acts),
    row(Pitchover, "pitchover.leaderNaming", Choice(&["leader", "spread"]), Value("leader"), Acts),
    row(Pitchover, "pitchover.security", Choice(&["compat"]), Value("compat"), Acts),
    row(Pitchover, "pitchover.durability", Choice(&["fsync", "async"]), Value("fsync"), Acts),
    row(Pitchover, "pitchover.readMode", Choice(&["readindex", "lease"]), Value("readindex"), Acts),
    row(Pitchover, "pitchover.replaceWiped", Choice(&["auto", "manual"]), Value("auto"), Acts),
    row(Pitchover, "pitchover.brokerCloseGraceMs", Within(0, 60_000), Value("1500"), Acts),
    row(Pitchover, "pitchover.javaStore", Choice(&["refuse", "ignore"]), Value("refuse"), Acts),
    row(Pitchover, "pitchover.preferredMasters", Text, Value(""), Acts),
    row(Pitchover, "pitchover.neverMaster", Text, Value(""), Acts),
    row(Pitchover, "pitchover.otlp.tracesTarget", Text, Value(""), Acts),
    row(Pitchover, "pitchover.otlp.tracesHeader", Secret, Value(""), Acts),
    row(Pitchover, "pitchover.otlp.tracesPerMillion", Within(0, 1_000_000), Value("1000"), Acts),
    row(Pitchover, "pitchover.log.format", Choice(&["text", "json"]), Value("text"), Acts),
    row(Pitchover, "pitchover.log.level", Text, Value("info"), Acts),
];
