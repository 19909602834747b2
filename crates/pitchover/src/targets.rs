//! Which controllers a tool asks, and one private request to one of them.

use bytes::Bytes;
use client::{CallError, Connection, Deadline};
use protocol::{ExtFields, Frame, Header, HeaderEncoding, Response, response_code};
use serde_json::Value;
use server::config::{Config, Sources};
use std::time::Duration;

/// Where `pitchover dev` listens unless told otherwise.
pub(crate) const DEV_PORTS: [u16; 3] = [9878, 9868, 9858];

/// How long one controller may take to answer a tool.
const ANSWER: Duration = Duration::from_secs(3);

/// The options by which every tool names its controllers.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Targets {
    /// Controllers to ask: `host:port,host:port,...`.
    #[arg(long, value_delimiter = ',')]
    target: Vec<String>,
    /// Ask the peers of this controller.conf.
    #[arg(short = 'c', long = "configFile", value_name = "FILE")]
    config_file: Option<String>,
}

impl Targets {
    /// The addresses: `--target`, else the peers of `-c`, else the ports of `dev`.
    ///
    /// # Errors
    /// A text that says what is wrong with the file.
    pub(crate) fn addresses(&self) -> Result<Vec<String>, String> {
        if !self.target.is_empty() {
            return Ok(self.target.clone());
        }
        let Some(file) = &self.config_file else {
            return Ok(DEV_PORTS.iter().map(|port| format!("127.0.0.1:{port}")).collect());
        };
        let sources =
            Sources::of_process(Some(file), Vec::new()).map_err(|error| error.to_string())?;
        let config = Config::load(&sources).map_err(|errors| errors.to_string())?;
        Ok(config.peers.into_iter().map(|peer| peer.broker_address).collect())
    }
}

/// Asks one controller by a private request code.
///
/// # Errors
/// Whatever keeps it from answering.
pub(crate) async fn ask(address: &str, code: i32, body: Bytes) -> Result<Response, CallError> {
    ask_with(address, code, ExtFields::new(), body).await
}

/// As [`ask`], with fields in the header.
///
/// # Errors
/// Whatever keeps it from answering.
pub(crate) async fn ask_with(
    address: &str,
    code: i32,
    fields: ExtFields,
    body: Bytes,
) -> Result<Response, CallError> {
    let deadline = Deadline::after(ANSWER);
    let connection = Connection::connect(address, deadline).await?;
    let header = Header::request(code, 0, 0, fields, HeaderEncoding::Json);
    connection.exchange(Frame { header, body }, deadline).await.map(Response::from_frame)
}

/// The JSON object in a successful answer, else what the controller said instead.
///
/// # Errors
/// A text for the operator.
pub(crate) fn object(answer: Result<Response, CallError>) -> Result<Value, String> {
    let response = answer.map_err(|error| error.to_string())?;
    if response.code != response_code::SUCCESS {
        let remark = response.remark.as_deref().unwrap_or("no reason given");
        return Err(format!("code {}: {remark}", response.code));
    }
    serde_json::from_slice(&response.body).map_err(|error| format!("unreadable answer: {error}"))
}

/// A runtime for a tool that asks and ends.
///
/// # Errors
/// If the system gives none.
pub(crate) fn block_on<F: Future>(future: F) -> std::io::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(future))
}
