//! `pitchover bench calibrate`: what this host can do at best, kept for the record of runs.

use clap::Args;
use load::calibrate::{self, Options};
use measure::folder::Calibration;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Where the host card is kept unless told otherwise.
const CARD: &str = "pitchover-calibration.json";

/// Options of `bench calibrate`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Folder whose disk is measured; the one for temporary files by default, where controllers are started.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Where the card is kept for later runs.
    #[arg(long, default_value = CARD)]
    out: PathBuf,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let folder = arguments.data.clone().unwrap_or_else(std::env::temp_dir);
    let options = Options { folder, each: Duration::from_secs(arguments.seconds) };
    let card = match calibrate::run(&options) {
        Ok(card) => card,
        Err(error) => {
            eprintln!("bench calibrate: {error}");
            return ExitCode::from(crate::exit::INVALID);
        }
    };
    let text = serde_json::to_string_pretty(&card).unwrap_or_default();
    if arguments.json {
        println!("{text}");
    } else {
        println!("{}", calibrate::Card(&card));
    }
    if let Err(error) = std::fs::write(&arguments.out, text + "\n") {
        eprintln!("bench calibrate: {}: {error}", arguments.out.display());
        return ExitCode::from(crate::exit::INVALID);
    }
    ExitCode::SUCCESS
}

/// The host card in `file`, or in this folder if none is named and there is one.
///
/// # Errors
/// A text that says what is wrong with the file.
pub(crate) fn card(file: Option<&Path>) -> Result<Option<Calibration>, String> {
    let path = file.unwrap_or(Path::new(CARD));
    let failed = |why: String| format!("{}: {why}", path.display());
    match std::fs::read_to_string(path) {
        Ok(text) => {
            serde_json::from_str(&text).map(Some).map_err(|error| failed(error.to_string()))
        }
        Err(_) if file.is_none() => Ok(None),
        Err(error) => Err(failed(error.to_string())),
    }
}
