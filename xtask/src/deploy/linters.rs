//! What each tool says about its own format.

use super::tools::{Missing, Tool, Tools};
use crate::interop::report::{Failure, Outcome};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Why a linter did not find its files right.
#[derive(Debug)]
pub(super) enum Stop {
    /// What the tool printed.
    Wrong(String),
    /// Why it could not be asked.
    Skipped(String),
    /// What kept it from being asked though it is there.
    Broken(Failure),
}

impl From<Missing> for Stop {
    fn from(Missing(why): Missing) -> Self {
        Self::Skipped(why)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Broken(failure)
    }
}

/// What was found right.
type Linted = Result<String, Stop>;

type Linter = fn(&Tools) -> Linted;

/// All linters, by what they judge.
pub(super) const LINTERS: [(&str, Linter); 6] = [
    ("terraform fmt", terraform_fmt),
    ("terraform validate", terraform_validate),
    ("kubeconform", kubeconform),
    ("docker compose config", compose),
    ("promtool check", promtool),
    ("otelcol validate", otelcol),
];

/// A token as long as a real one, for files that want one.
const TOKEN: &str = "not-a-secret-only-to-check-files";

/// Runs a tool; what it printed.
fn ask(tools: &Tools, name: &str, command: Command) -> Linted {
    let (is_good, output) = tools.run(name, command)?;
    if is_good { Ok(output) } else { Err(Stop::Wrong(output)) }
}

fn terraform_fmt(tools: &Tools) -> Linted {
    let mut command = Command::new(tools.program(Tool::Terraform)?);
    command.args(["fmt", "-check", "-diff", "-recursive"]).arg(tools.deploy("terraform"));
    ask(tools, "terraform-fmt", command)?;
    Ok("deploy/terraform is formatted".to_owned())
}

/// In a copy, so that nothing is left beside the module; with the provider that was built, and no registry.
fn terraform_validate(tools: &Tools) -> Linted {
    let terraform = tools.program(Tool::Terraform)?;
    let plugins = tools.program(Tool::DockerProvider)?;
    let copy = tools.fresh_folder("terraform")?;
    let module = copy.join("terraform");
    copy_files(&tools.deploy("terraform"), &module)?;
    copy_files(&tools.deploy("config"), &copy.join("config"))?;
    let mut init = Command::new(&terraform);
    init.arg(format!("-chdir={}", module.display()));
    init.args(["init", "-backend=false", "-input=false", "-no-color"]);
    init.arg(format!("-plugin-dir={}", plugins.display()));
    ask(tools, "terraform-init", init)?;
    let mut validate = Command::new(terraform);
    validate.arg(format!("-chdir={}", module.display())).args(["validate", "-no-color"]);
    ask(tools, "terraform-validate", validate)?;
    Ok("the module is valid for its provider's schema".to_owned())
}

/// What `kubectl apply -k` would send, or, without kubectl, the files it is made of.
fn kubeconform(tools: &Tools) -> Linted {
    let kubeconform = tools.program(Tool::Kubeconform)?;
    let schemas = tools.program(Tool::KubernetesSchemas)?;
    let mut command = Command::new(kubeconform);
    command.args(["-strict", "-summary", "-schema-location"]);
    command.arg(schemas.join("{{.ResourceKind}}{{.KindSuffix}}.json"));
    let Ok(kubectl) = tools.program(Tool::Kubectl) else {
        command.arg(tools.deploy("kubernetes"));
        ask(tools, "kubeconform", command)?;
        return Ok("deploy/kubernetes as it stands, without kustomize".to_owned());
    };
    let rendered = tools.fresh_folder("kustomize")?.join("all.yaml");
    let mut kustomize = Command::new(kubectl);
    kustomize.arg("kustomize").arg(tools.deploy("")).arg("--output").arg(&rendered);
    ask(tools, "kustomize", kustomize)?;
    command.arg(rendered);
    let output = ask(tools, "kubeconform", command)?;
    Ok(output.lines().last().unwrap_or_default().to_owned())
}

fn compose(tools: &Tools) -> Linted {
    let mut command = Command::new(tools.program(Tool::Compose)?);
    command.arg("-f").arg(tools.deploy("docker-compose.yml"));
    command.args(["--profile", "fleet", "config", "--quiet"]);
    command.env("PITCHOVER_FLEET_TOKEN", TOKEN);
    ask(tools, "compose", command)?;
    Ok("deploy/docker-compose.yml".to_owned())
}

fn promtool(tools: &Tools) -> Linted {
    let mut command = Command::new(tools.program(Tool::Promtool)?);
    command.args(["check", "config"]).arg(tools.deploy("config/prometheus.yml"));
    ask(tools, "promtool", command)?;
    Ok("prometheus.yml and rules.yml".to_owned())
}

fn otelcol(tools: &Tools) -> Linted {
    let mut command = Command::new(tools.program(Tool::Otelcol)?);
    let config = tools.deploy("config/otel-collector.yaml");
    command.arg("validate").arg(format!("--config={}", config.display()));
    ask(tools, "otelcol", command)?;
    Ok("otel-collector.yaml".to_owned())
}

/// Copies a folder's files, folders within it left out.
fn copy_files(from: &Path, to: &Path) -> Outcome<()> {
    let failed = |path: &Path| Failure::while_doing::<std::io::Error>(path.display().to_string());
    fs::create_dir_all(to).map_err(failed(to))?;
    for entry in fs::read_dir(from).map_err(failed(from))? {
        let path = entry.map_err(failed(from))?.path();
        if let (true, Some(name)) = (path.is_file(), path.file_name()) {
            fs::copy(&path, to.join(name)).map_err(failed(&path))?;
        }
    }
    Ok(())
}
