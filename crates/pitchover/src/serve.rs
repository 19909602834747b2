//! `pitchover serve`, and `mqcontroller`: one controller from Java's own property files.
//!
//! | Situation | Exit code |
//! |---|---|
//! | `-h`, `-p`, stopped by TERM or INT | 0 |
//! | unknown option | 1 |
//! | anything that keeps it from starting | 255 |
//! | the journal failed while running | 74 |
//!
//! Source: upstream `ControllerStartup`; DROP-IN section 2.

use crate::{VERSION, logging};
use clap::Parser;
use server::NodeError;
use server::config::{Config, ConfigError, ConfigErrors, Sources, print};
use std::ffi::OsString;
use std::process::ExitCode;

/// Java's exit code for a start that failed.
const EXIT_NOT_STARTED: u8 = 255;

/// Java's exit code for a command line that it does not understand.
const EXIT_USAGE: u8 = 1;

/// The journal failed: `EX_IOERR` of sysexits, so that a supervisor can tell it from a wrong configuration.
const EXIT_JOURNAL: u8 = 74;

/// Run one controller from a controller.conf of the Java controller.
#[derive(Debug, Parser)]
#[command(name = "mqcontroller", disable_version_flag = true)]
pub(crate) struct Arguments {
    /// Controller config properties file.
    #[arg(short = 'c', long = "configFile", value_name = "FILE")]
    config_file: Option<String>,
    /// Print all config items and exit.
    #[arg(short = 'p', long = "printConfigItem")]
    print_config_item: bool,
    /// Name server address list; accepted, without effect, as upstream.
    #[arg(short = 'n', long = "namesrvAddr", value_name = "LIST")]
    namesrv_addr: Option<String>,
    /// One setting, as `-Dkey=value`.
    #[arg(short = 'D', value_name = "KEY=VALUE")]
    settings: Vec<String>,
}

/// Parses as Java's start script does: an unknown option is exit code 1, and `--key=value` sets any known key.
pub(crate) fn run_as_java(words: &[OsString], is_mqcontroller: bool) -> ExitCode {
    // Behind the program and `serve`; in its texts it is called as its users call it.
    let words = words.iter().skip(2).map(|word| match word.to_str() {
        Some(word) => OsString::from(as_setting(word).unwrap_or_else(|| word.to_owned())),
        None => word.clone(),
    });
    let name = if is_mqcontroller { "mqcontroller" } else { "pitchover serve" };
    match Arguments::try_parse_from(std::iter::once(name.into()).chain(words)) {
        Ok(arguments) => run(&arguments),
        Err(error) => {
            let is_help = error.exit_code() == 0;
            // Printing fails only if the terminal is gone.
            drop(error.print());
            if is_help { ExitCode::SUCCESS } else { ExitCode::from(EXIT_USAGE) }
        }
    }
}

/// `--key=value` of a known setting, as the `-Dkey=value` that the parser knows.
fn as_setting(word: &str) -> Option<String> {
    let (key, value) = word.strip_prefix("--")?.split_once('=')?;
    server::config::field::is_known(key).then(|| format!("-D{key}={value}"))
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let config = match load(arguments) {
        Ok(Some(config)) => config,
        Ok(None) => return ExitCode::SUCCESS,
        Err(errors) => {
            eprintln!("{errors}");
            return ExitCode::from(EXIT_NOT_STARTED);
        }
    };
    logging::start(&config);
    for warning in &config.warnings {
        tracing::warn!(%warning, "configuration");
    }
    let serialize_type = config.serialize_type.clone();
    let on_start = || {
        println!("The Controller Server boot success. serializeType={serialize_type}");
    };
    match server::run(config, VERSION, on_start) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "this controller ends");
            eprintln!("{error}");
            ExitCode::from(match error {
                NodeError::Journal(_) => EXIT_JOURNAL,
                NodeError::Open(_)
                | NodeError::Start(_)
                | NodeError::Listen { .. }
                | NodeError::Descriptors(_)
                | NodeError::JavaStore { .. }
                | NodeError::System { .. } => EXIT_NOT_STARTED,
            })
        }
    }
}

/// Reads the settings; `None` if they were only to be printed.
fn load(arguments: &Arguments) -> Result<Option<Config>, ConfigErrors> {
    let one = |error: ConfigError| ConfigErrors(vec![error]);
    let pairs = arguments.settings.iter().map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key.to_owned(), value.to_owned())
    });
    let sources =
        Sources::of_process(arguments.config_file.as_deref(), pairs.collect()).map_err(one)?;
    if let Some(path) = &arguments.config_file {
        println!("load config properties file OK, {path}");
    }
    let read = server::config::Settings::read(&sources)?;
    if arguments.print_config_item {
        print!("{}", print::items(&read.settings));
        return Ok(None);
    }
    Config::resolve(read).map(Some)
}
