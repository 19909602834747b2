# Three controllers, workers, Prometheus, an OpenTelemetry collector and Grafana as containers of one Docker host: what
# docker-compose.yml starts, with the same files of ../config.

locals {
  config = abspath("${path.module}/../config")

  # The lines KEY=VALUE of the file that docker-compose.yml reads, too.
  peers = [
    for line in split("\n", file("${local.config}/compose.env")) : trimspace(line)
    if trimspace(line) != "" && !startswith(trimspace(line), "#")
  ]

  # Self id and host of each, as compose.env names them, and the port its admin page is published on.
  controllers = {
    n0 = { host = "controller-0", admin_port = 9557 }
    n1 = { host = "controller-1", admin_port = 9558 }
    n2 = { host = "controller-2", admin_port = 9559 }
  }
}

resource "docker_network" "this" {
  name = var.name
}

resource "docker_volume" "controller" {
  for_each = local.controllers
  name     = "${var.name}-${each.value.host}"
}

resource "docker_volume" "prometheus" {
  name = "${var.name}-prometheus"
}

resource "docker_container" "controller" {
  for_each = local.controllers
  name     = "${var.name}-${each.value.host}"
  hostname = each.value.host
  image    = var.image
  env      = concat(local.peers, ["controllerDLegerSelfId=${each.key}"])

  restart               = "unless-stopped"
  read_only             = true
  destroy_grace_seconds = 30
  security_opts         = ["no-new-privileges:true"]

  capabilities {
    drop = ["ALL"]
  }

  ulimit {
    name = "nofile"
    soft = 65536
    hard = 65536
  }

  networks_advanced {
    name    = docker_network.this.name
    aliases = [each.value.host, "pitchover-peers"]
  }

  ports {
    ip       = var.publish_address
    internal = 9557
    external = each.value.admin_port
  }

  volumes {
    host_path      = "${local.config}/controller.conf"
    container_path = "/etc/pitchover/controller.conf"
    read_only      = true
  }

  volumes {
    volume_name    = docker_volume.controller[each.key].name
    container_path = "/var/lib/pitchover"
  }

  healthcheck {
    test = [
      "CMD", "bash", "-c",
      "exec 3<>/dev/tcp/127.0.0.1/9557 && printf 'GET /readyz HTTP/1.0\\r\\n\\r\\n' >&3 && head -n 1 <&3 | grep -q ' 200 '",
    ]
    interval     = "5s"
    timeout      = "3s"
    retries      = 5
    start_period = "60s"
  }
}

resource "docker_container" "worker" {
  count    = var.workers
  name     = "${var.name}-worker-${count.index}"
  hostname = "worker-${count.index}"
  image    = var.image
  command  = ["bench", "worker", "--listen", "0.0.0.0:9700"]
  env      = ["PITCHOVER_FLEET_TOKEN=${var.fleet_token}"]

  restart       = "unless-stopped"
  read_only     = true
  security_opts = ["no-new-privileges:true"]

  tmpfs = {
    "/tmp" = "rw"
  }

  capabilities {
    drop = ["ALL"]
  }

  ulimit {
    name = "nofile"
    soft = 65536
    hard = 65536
  }

  networks_advanced {
    name    = docker_network.this.name
    aliases = ["worker-${count.index}"]
  }

  lifecycle {
    precondition {
      condition     = var.fleet_token != ""
      error_message = "fleet_token: workers listen for the whole network and need one."
    }
  }
}

resource "docker_container" "prometheus" {
  name    = "${var.name}-prometheus"
  image   = var.prometheus_image
  restart = "unless-stopped"
  command = [
    "--config.file=/etc/prometheus/prometheus.yml",
    "--storage.tsdb.path=/prometheus",
    "--storage.tsdb.retention.time=15d",
  ]

  networks_advanced {
    name    = docker_network.this.name
    aliases = ["prometheus"]
  }

  ports {
    ip       = var.publish_address
    internal = 9090
    external = 9090
  }

  dynamic "volumes" {
    for_each = toset(["prometheus.yml", "rules.yml"])
    content {
      host_path      = "${local.config}/${volumes.value}"
      container_path = "/etc/prometheus/${volumes.value}"
      read_only      = true
    }
  }

  volumes {
    volume_name    = docker_volume.prometheus.name
    container_path = "/prometheus"
  }
}

resource "docker_container" "otel_collector" {
  name    = "${var.name}-otel-collector"
  image   = var.otel_collector_image
  restart = "unless-stopped"
  command = ["--config=/etc/otelcol/config.yaml"]

  networks_advanced {
    name    = docker_network.this.name
    aliases = ["otel-collector"]
  }

  volumes {
    host_path      = "${local.config}/otel-collector.yaml"
    container_path = "/etc/otelcol/config.yaml"
    read_only      = true
  }
}

resource "docker_container" "grafana" {
  name    = "${var.name}-grafana"
  image   = var.grafana_image
  restart = "unless-stopped"
  env = [
    "GF_AUTH_ANONYMOUS_ENABLED=true",
    "GF_AUTH_ANONYMOUS_ORG_ROLE=Viewer",
    "GF_AUTH_DISABLE_LOGIN_FORM=true",
    "GF_ANALYTICS_REPORTING_ENABLED=false",
    "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH=/var/lib/pitchover-dashboards/dashboard.json",
  ]

  networks_advanced {
    name    = docker_network.this.name
    aliases = ["grafana"]
  }

  ports {
    ip       = var.publish_address
    internal = 3000
    external = 3000
  }

  dynamic "volumes" {
    for_each = {
      "grafana/datasources.yaml" = "/etc/grafana/provisioning/datasources/pitchover.yaml"
      "grafana/dashboards.yaml"  = "/etc/grafana/provisioning/dashboards/pitchover.yaml"
      "dashboard.json"           = "/var/lib/pitchover-dashboards/dashboard.json"
    }
    content {
      host_path      = "${local.config}/${volumes.key}"
      container_path = volumes.value
      read_only      = true
    }
  }
}
