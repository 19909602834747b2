//! Where the linters are, and how each is had.
//!
//! | Tool | Had by |
//! |---|---|
//! | `terraform`, `kubectl` | the machine; no package that installs as it is has them |
//! | `kubeconform` | `go install` |
//! | schemas of Kubernetes | a Python package that has them, unpacked and made to refer to each other as files |
//! | `docker-compose`, the Docker provider of Terraform | a Go module of one line around theirs, whose own `go.mod` forbids `go install` |
//! | `promtool` | Debian's package `prometheus`, unpacked and not installed |
//! | `otelcol` | the collector's builder, with `deploy/config/otel-builder.yaml` |
//!
//! Quick ones come first, so that a short limit leaves something. What fails to install says so in a log and is skipped.

use crate::interop::clock::Stopwatch;
use crate::interop::process;
use crate::interop::report::{Failure, Outcome};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long a linter may take.
const LINT: Duration = Duration::from_secs(120);

const KUBECONFORM: &str = "github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0";

const COMPOSE: &str = "github.com/docker/compose/v2/cmd";
const COMPOSE_VERSION: &str = "github.com/docker/compose/v2@v2.40.3";

/// The provider's module calls itself by an older name than the one it is had by.
const PROVIDER: &str = "github.com/terraform-providers/terraform-provider-docker";
const PROVIDER_VERSION: &str =
    "github.com/kreuzwerker/terraform-provider-docker@v0.0.0-20260916201441-96d331c98ff4";
const PROVIDER_REQUIRED: &str =
    "github.com/terraform-providers/terraform-provider-docker@v0.0.0-00010101000000-000000000000";

/// Where Terraform looks for it below `-plugin-dir`; a version that the module takes, not the provider's own.
const PROVIDER_FOLDER: &str =
    "providers/registry.terraform.io/kreuzwerker/docker/3.999.0/linux_amd64";

const COLLECTOR_BUILDER: &str = "go.opentelemetry.io/collector/cmd/builder@v0.155.0";

/// A Python package with the schemas of several versions of Kubernetes, and the version that is used.
const SCHEMAS: &str = "kubernetes-validate==1.32.0";
const SCHEMAS_FOLDER: &str = "kubernetes_validate/kubernetes-json-schema/v1.32.0-local-strict";

/// Something that a linter needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tool {
    Terraform,
    DockerProvider,
    Kubectl,
    Kubeconform,
    KubernetesSchemas,
    Compose,
    Promtool,
    Otelcol,
}

/// What can be installed, the quick ones first.
const INSTALLED: [Tool; 6] = [
    Tool::Promtool,
    Tool::KubernetesSchemas,
    Tool::Kubeconform,
    Tool::DockerProvider,
    Tool::Compose,
    Tool::Otelcol,
];

impl Tool {
    fn name(self) -> &'static str {
        match self {
            Self::Terraform => "terraform",
            Self::DockerProvider => "terraform-provider-docker",
            Self::Kubectl => "kubectl",
            Self::Kubeconform => "kubeconform",
            Self::KubernetesSchemas => "kubernetes-schemas",
            Self::Compose => "docker-compose",
            Self::Promtool => "promtool",
            Self::Otelcol => "otelcol",
        }
    }

    /// Where it is below the folder of tools, once it is installed.
    fn path(self) -> &'static str {
        match self {
            Self::DockerProvider => "providers",
            Self::KubernetesSchemas => "schemas",
            Self::Terraform => "bin/terraform",
            Self::Kubectl => "bin/kubectl",
            Self::Kubeconform => "bin/kubeconform",
            Self::Compose => "bin/docker-compose",
            Self::Promtool => "bin/promtool",
            Self::Otelcol => "bin/otelcol",
        }
    }

    /// Whether a program of this name in `PATH` will do.
    fn is_a_program(self) -> bool {
        !matches!(self, Self::DockerProvider | Self::KubernetesSchemas)
    }
}

/// A tool that is not there, and what can be done about it.
#[derive(Debug)]
pub(super) struct Missing(pub(super) String);

/// The folder of tools, and the workspace they are for.
#[derive(Debug)]
pub(super) struct Tools {
    root: PathBuf,
    folder: PathBuf,
}

impl Tools {
    pub(super) fn new(root: &Path) -> Outcome<Self> {
        let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/pitchover"));
        let folder = env::var_os("PITCHOVER_DEPLOY_TOOLS").map(PathBuf::from);
        let folder = folder.or_else(|| home().map(|home| home.join("deploy-tools")));
        let folder = folder.unwrap_or_else(|| root.join("target/deploy-tools"));
        for part in ["bin", "work", "log"] {
            let path = folder.join(part);
            fs::create_dir_all(&path).map_err(Failure::while_doing(path.display()))?;
        }
        Ok(Self { root: root.to_owned(), folder })
    }

    /// A file or folder of `deploy/`.
    pub(super) fn deploy(&self, path: &str) -> PathBuf {
        self.root.join("deploy").join(path)
    }

    /// An empty folder for a linter to work in.
    pub(super) fn fresh_folder(&self, name: &str) -> Outcome<PathBuf> {
        let path = self.folder.join("work").join(name);
        if path.exists() {
            fs::remove_dir_all(&path).map_err(Failure::while_doing(path.display()))?;
        }
        fs::create_dir_all(&path).map_err(Failure::while_doing(path.display()))?;
        Ok(path)
    }

    /// Where a tool is.
    ///
    /// # Errors
    /// - [`Missing`]: it is neither in the folder of tools nor in `PATH`.
    pub(super) fn program(&self, tool: Tool) -> Result<PathBuf, Missing> {
        let own = self.folder.join(tool.path());
        if own.exists() {
            return Ok(own);
        }
        let found = env::var_os("PATH").filter(|_| tool.is_a_program()).and_then(|path| {
            env::split_paths(&path).map(|it| it.join(tool.name())).find(|it| it.is_file())
        });
        let can_be_had = if INSTALLED.contains(&tool) { "; --install gets it" } else { "" };
        found.ok_or_else(|| Missing(format!("{} is not here{can_be_had}", tool.name())))
    }

    /// Runs a linter to its end: whether it found nothing wrong, and what it printed.
    pub(super) fn run(&self, name: &str, command: Command) -> Outcome<(bool, String)> {
        let (status, output) = process::run(name, command, &self.log(name)?, LINT)?;
        Ok((status.success(), output))
    }

    /// A log that is empty.
    fn log(&self, name: &str) -> Outcome<PathBuf> {
        let log = self.folder.join("log").join(format!("{name}.log"));
        fs::write(&log, "").map_err(Failure::while_doing(log.display()))?;
        Ok(log)
    }

    /// Gets what is missing, as far as `limit` goes; says what could not be had.
    pub(super) fn install(&self, limit: Duration) {
        let watch = Stopwatch::start();
        for tool in INSTALLED {
            if self.program(tool).is_ok() {
                continue;
            }
            let left = limit.saturating_sub(watch.elapsed());
            if left.is_zero() {
                println!(
                    "        {} is not installed: {} s are over",
                    tool.name(),
                    limit.as_secs()
                );
                continue;
            }
            println!("        installing {}", tool.name());
            if let Err(failure) = self.install_one(tool, left) {
                println!("        {} is not installed: {failure}", tool.name());
            }
        }
    }

    fn install_one(&self, tool: Tool, limit: Duration) -> Outcome<()> {
        let work = self.fresh_folder(tool.name())?;
        let built = work.join("built");
        let step = |mut command: Command| {
            command.current_dir(&work).env("GOBIN", &work).env("GOFLAGS", "-buildvcs=false");
            self.step(tool, command, limit)
        };
        match tool {
            Tool::Terraform | Tool::Kubectl => {
                return Err(Failure("this machine must bring it".to_owned()));
            }
            Tool::Kubeconform => {
                step(words(&["go", "install", KUBECONFORM]))?;
                fs::rename(work.join("kubeconform"), &built)
                    .map_err(Failure::while_doing("go install"))?;
            }
            Tool::Compose => {
                step(words(&["go", "mod", "init", "deploy.tools/compose"]))?;
                step(words(&["go", "get", COMPOSE_VERSION]))?;
                step(words(&["go", "build", "-mod=mod", "-o", "built", COMPOSE]))?;
            }
            Tool::DockerProvider => {
                step(words(&["go", "mod", "init", "deploy.tools/provider"]))?;
                let replace = format!("-replace={PROVIDER}={PROVIDER_VERSION}");
                let require = format!("-require={PROVIDER_REQUIRED}");
                step(words(&["go", "mod", "edit", &replace, &require]))?;
                let program = work.join(PROVIDER_FOLDER).join("terraform-provider-docker_v3.999.0");
                let program = program.display().to_string();
                step(words(&["go", "build", "-mod=mod", "-o", &program, PROVIDER]))?;
                fs::rename(work.join("providers"), &built)
                    .map_err(Failure::while_doing("the provider"))?;
            }
            Tool::KubernetesSchemas => {
                step(words(&["pip", "install", "-q", "--no-deps", "--target", "all", SCHEMAS]))?;
                localize(&work.join("all").join(SCHEMAS_FOLDER), &built)?;
            }
            Tool::Promtool => {
                step(words(&["apt-get", "download", "prometheus"]))?;
                step(words(&["sh", "-c", "dpkg-deb -x prometheus_*.deb all"]))?;
                fs::rename(work.join("all/usr/bin/promtool"), &built)
                    .map_err(Failure::while_doing("the package prometheus"))?;
            }
            Tool::Otelcol => {
                step(words(&["go", "install", COLLECTOR_BUILDER]))?;
                let manifest = self.deploy("config/otel-builder.yaml");
                let config = format!("--config={}", manifest.display());
                let mut build = Command::new(work.join("builder"));
                build.arg(config);
                step(build)?;
                fs::rename(work.join("otelcol/otelcol"), &built)
                    .map_err(Failure::while_doing("the collector's builder"))?;
            }
        }
        // Only what is whole has its place.
        let place = self.folder.join(tool.path());
        fs::rename(&built, &place).map_err(Failure::while_doing(place.display()))
    }

    fn step(&self, tool: Tool, command: Command, limit: Duration) -> Outcome<()> {
        let log = self.log(&format!("install-{}", tool.name()))?;
        let (status, output) = process::run(tool.name(), command, &log, limit)?;
        if status.success() {
            return Ok(());
        }
        let last = output.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        Err(Failure(format!("{status}: {last} (see {})", log.display())))
    }
}

fn words(words: &[&str]) -> Command {
    let (program, arguments) = words.split_first().expect("a command has a program");
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// The package's schemas refer to each other by addresses of a server; here they are files side by side.
fn localize(from: &Path, to: &Path) -> Outcome<()> {
    let failed = |path: &Path| Failure::while_doing::<std::io::Error>(path.display().to_string());
    fs::create_dir_all(to).map_err(failed(to))?;
    for entry in fs::read_dir(from).map_err(failed(from))? {
        let path = entry.map_err(failed(from))?.path();
        let Some(name) = path.file_name() else { continue };
        let text = fs::read_to_string(&path).map_err(failed(&path))?;
        let text = text.replace("/api/_definitions.json", "_definitions.json");
        let text = text.replace("\"$id\":", "\"$comment\":");
        fs::write(to.join(name), text).map_err(failed(&path))?;
    }
    Ok(())
}
