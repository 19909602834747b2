//! The Java processes of a run. Dropping this ends them.

use super::kit::{Kit, Places};
use super::messages::Messages;
use super::{BROKERS, TOPIC};
use crate::actors::CLUSTER;
use crate::clock;
use crate::fabric::Home;
use crate::ground::controller::{Controller as Process, Plan};
use crate::ground::namespace;
use crate::target::Kind;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long the topic may take to be on every broker: a tool starts, and followers copy it from their master.
const TOPIC_PATIENCE: u64 = 120 * clock::SECOND;

/// How long one try of the tool may take.
const TOOL: Duration = Duration::from_secs(30);

/// How long producer and consumer may take at the end: twice 60 s of catching up, and a send that waits.
const END: Duration = Duration::from_secs(150);

/// Where `Traffic.java` writes its sends, and the longest line of it.
const SENDS: &str = "sends.txt";
const SEND_BYTES_MAX: u64 = 256;

/// The word of an acknowledged one.
const OK: &str = "\tSEND_OK\t";

const LOOK: Duration = Duration::from_millis(100);

/// Queues of the topic, which is more than one so that the consumer's order is nobody's.
const QUEUES: &str = "4";

const NAMES: Ipv4Addr = Ipv4Addr::new(10, 77, 3, 1);
const WATCH: Ipv4Addr = Ipv4Addr::new(10, 77, 3, 2);

/// The processes.
#[derive(Debug)]
pub(crate) struct Troupe {
    kit: Kit,
    places: Places,
    run: u32,
    folder: PathBuf,
    clients_namespace: String,
    /// The brokers, by place.
    pub(crate) brokers: Vec<Process>,
    names: Process,
    watch: Option<Process>,
    traffic: Option<Child>,
}

/// Name and addresses of the one broker set.
pub(crate) fn set() -> (String, Vec<Ipv4Addr>) {
    let broker = |number| Ipv4Addr::new(10, 77, 1, number);
    ("set-0".to_owned(), (1..=BROKERS).map(broker).collect())
}

/// Namespaces of the brokers, by place, and of whom no fault names.
pub(crate) fn homes(run: u32) -> Vec<Home> {
    let (_, brokers) = set();
    let named = |(place, address): (usize, Ipv4Addr)| (format!("b{place}"), address);
    let all = brokers.into_iter().enumerate().map(named);
    let all = all.chain([("names".to_owned(), NAMES), ("watch".to_owned(), WATCH)]);
    all.map(|(part, address)| Home {
        namespace: namespace::name(run, &part),
        addresses: vec![address],
    })
    .collect()
}

impl Troupe {
    /// Starts the name server and the brokers; they register by themselves.
    pub(crate) async fn start(
        kit: &Kit,
        controllers: &[Ipv4Addr],
        run: u32,
        clients_namespace: &str,
        folder: &Path,
    ) -> io::Result<Self> {
        let (set, brokers) = set();
        let places = Places { controllers: controllers.to_vec(), set, brokers, names: NAMES };
        let process = |name: &str, furnish: &dyn Fn(&Path) -> io::Result<Vec<OsString>>| {
            let home = folder.join(name);
            fs::create_dir_all(home.join("store"))?;
            Ok::<_, io::Error>(Process::new(Plan {
                name: name.to_owned(),
                namespace: namespace::name(run, name),
                kind: Kind::JavaDledger,
                program: kit.java.clone(),
                arguments: furnish(&home)?,
                log: folder.join(format!("{name}.log")),
                home,
            }))
        };
        let mut names = process("names", &|home| kit.names(home, &places))?;
        names.start().await?;
        let mut brokers = Vec::new();
        for place in 0..places.brokers.len() {
            let mut broker =
                process(&format!("b{place}"), &|home| kit.broker(home, &places, place))?;
            broker.start().await?;
            brokers.push(broker);
        }
        Ok(Self {
            kit: kit.clone(),
            places,
            run,
            folder: folder.to_owned(),
            clients_namespace: clients_namespace.to_owned(),
            brokers,
            names,
            watch: None,
            traffic: None,
        })
    }

    /// The id of a broker, as its own file has it (`cluster#set#id`), once it was given one.
    fn id(&self, place: usize) -> Option<i64> {
        let file = self.brokers.get(place)?.plan.home.join("store").join("brokerIdentity");
        fs::read_to_string(file).ok()?.trim().rsplit('#').next()?.parse().ok()
    }

    /// The place of the broker with this id.
    pub(crate) fn place(&self, id: i64) -> Option<usize> {
        (0..self.brokers.len()).find(|place| self.id(*place) == Some(id))
    }

    /// Where the broker with an id lives.
    pub(crate) fn addresses(&self) -> BTreeMap<(Box<str>, i64), Ipv4Addr> {
        let known = |(place, address): (usize, &Ipv4Addr)| {
            Some(((Box::from(self.places.set.as_str()), self.id(place)?), *address))
        };
        self.places.brokers.iter().enumerate().filter_map(known).collect()
    }

    /// Whether a broker runs, and does not stand still.
    pub(crate) fn lives(&self, place: usize) -> bool {
        let state = self.brokers.get(place).and_then(Process::state);
        state.is_some_and(|state| !matches!(state, 'T' | 'Z' | 'X'))
    }

    /// Whether all brokers live and are in this sync-state set, and the last message was acknowledged.
    pub(crate) fn is_whole(&self, members: &[i64]) -> bool {
        let mut all = 0..self.brokers.len();
        all.all(|place| self.lives(place) && self.id(place).is_some_and(|id| members.contains(&id)))
            && (self.traffic.is_none() || self.last_send().is_some_and(|said| said.contains(OK)))
    }

    /// The last line that tells of a send.
    fn last_send(&self) -> Option<String> {
        let mut file = File::open(self.folder.join(SENDS)).ok()?;
        let length = file.metadata().ok()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(SEND_BYTES_MAX))).ok()?;
        let mut end = String::new();
        file.read_to_string(&mut end).ok()?;
        end.lines().next_back().map(str::to_owned)
    }

    /// Who ended though no fault ended it.
    pub(crate) fn unexpected_end(&mut self) -> Option<String> {
        let processes = self.brokers.iter_mut().chain([&mut self.names]).chain(&mut self.watch);
        let ended = |one: &mut Process| Some((one.ended()?, one.plan.name.clone()));
        let ended = processes.filter_map(ended).next();
        if let Some((status, name)) = ended {
            return Some(format!("{name} ended by itself: {status}"));
        }
        let status = self.traffic.as_mut()?.try_wait().ok()??;
        Some(format!("producer and consumer ended by themselves: {status}"))
    }

    /// Makes the topic, and starts producer, consumer, and who asks the brokers what they are.
    pub(crate) async fn open_traffic(&mut self) -> io::Result<()> {
        let began = clock::now();
        while !(0..self.brokers.len()).all(|place| self.knows_topic(place)) {
            if clock::now() - began > TOPIC_PATIENCE {
                let why = format!("the topic did not reach all brokers: {}", self.log("topic"));
                return Err(io::Error::other(why));
            }
            self.make_topic().await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let home = self.home("watch")?;
        let mut words = vec![self.folder.join("roles.txt").into_os_string()];
        words.extend((0..self.brokers.len()).map(|place| self.places.broker(place).into()));
        let arguments = self.kit.client(&home, &self.places, "pitchover.interop.Watch", &words)?;
        let mut watch = Process::new(Plan {
            name: "watch".to_owned(),
            namespace: namespace::name(self.run, "watch"),
            kind: Kind::JavaDledger,
            program: self.kit.java.clone(),
            arguments,
            home,
            log: self.folder.join("watch.log"),
        });
        watch.start().await?;
        self.watch = Some(watch);
        let names = self.places.names().into();
        let sends = self.folder.join(SENDS).into_os_string();
        let words = [names, TOPIC.into(), sends, "reread".into()];
        self.traffic = Some(self.client("traffic", "pitchover.interop.Traffic", &words)?);
        Ok(())
    }

    async fn make_topic(&self) -> io::Result<()> {
        let words = ["updateTopic", "-n", &self.places.names(), "-c", CLUSTER, "-t", TOPIC];
        let mut words: Vec<OsString> = words.map(OsString::from).into();
        words.extend(["-r", QUEUES, "-w", QUEUES].map(OsString::from));
        let class = "org.apache.rocketmq.tools.command.MQAdminStartup";
        let mut tool = self.client("topic", class, &words)?;
        if !await_end(&mut tool, TOOL).await? {
            tool.kill()?;
            tool.wait()?;
        }
        Ok(())
    }

    /// Followers copy the list from their master now and then.
    fn knows_topic(&self, place: usize) -> bool {
        let file = self.brokers[place].plan.home.join("store").join("config").join("topics.json");
        fs::read_to_string(file).is_ok_and(|list| list.contains(&format!("\"{TOPIC}\"")))
    }

    /// A Java program where the clients are; it ends when its input does, and with the thread that started it.
    fn client(&self, name: &str, class: &str, own: &[OsString]) -> io::Result<Child> {
        let home = self.home(name)?;
        let log = File::options().create(true).append(true).open(self.log(name))?;
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.clients_namespace]);
        command.args(["setpriv", "--pdeathsig", "KILL"]).arg(&self.kit.java);
        command.args(self.kit.client(&home, &self.places, class, own)?);
        command.current_dir(&home).env("ROCKETMQ_HOME", &home);
        command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log).spawn()
    }

    fn home(&self, name: &str) -> io::Result<PathBuf> {
        let home = self.folder.join(name);
        fs::create_dir_all(&home)?;
        Ok(home)
    }

    fn log(&self, name: &str) -> String {
        self.folder.join(format!("{name}.log")).display().to_string()
    }

    /// Ends the producer, waits until the consumer has everything and the topic was read again, and gives what all
    /// wrote down; no `ending` if they did not come to their end.
    pub(crate) async fn finish(&mut self) -> io::Result<Messages> {
        let mut ending = String::new();
        if let Some(mut traffic) = self.traffic.take() {
            // It has ended already if this fails, and that is said by what is missing.
            if let Some(mut input) = traffic.stdin.take() {
                drop(input.write_all(b"stop\n"));
            }
            if await_end(&mut traffic, END).await? {
                let said = fs::read_to_string(self.log("traffic"))?;
                let last = said.lines().rev().find_map(|line| line.strip_prefix("result "));
                ending = last.unwrap_or_default().to_owned();
            } else {
                traffic.kill()?;
                traffic.wait()?;
            }
        }
        self.watch = None;
        let read = |name| fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        Ok(Messages::read(&read(SENDS), &read("roles.txt"), &read("lost.txt"), &ending))
    }
}

impl Drop for Troupe {
    fn drop(&mut self) {
        if let Some(traffic) = &mut self.traffic {
            // It has ended already if these fail.
            drop(traffic.kill());
            drop(traffic.wait());
        }
    }
}

/// Whether a process ended in time.
async fn await_end(child: &mut Child, patience: Duration) -> io::Result<bool> {
    let began = clock::now();
    let patience = u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
    while child.try_wait()?.is_none() {
        if clock::now() - began > patience {
            return Ok(false);
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(true)
}
