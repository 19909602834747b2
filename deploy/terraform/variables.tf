variable "name" {
  description = "Beginning of the names of network, volumes and containers."
  type        = string
  default     = "pitchover"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,30}$", var.name))
    error_message = "name: a lower-case letter, then up to 30 lower-case letters, digits or dashes."
  }
}

variable "image" {
  description = "Image of controllers and workers, built from deploy/Dockerfile. It must be there: docker build -f deploy/Dockerfile -t pitchover:dev ."
  type        = string
  default     = "pitchover:dev"

  validation {
    condition     = can(regex("^[^\\s:]+(:[0-9]+/[^\\s:]+)?:[^\\s:/]+$", var.image))
    error_message = "image: a name with a tag, such as pitchover:dev."
  }
}

variable "prometheus_image" {
  description = "Image of Prometheus."
  type        = string
  default     = "prom/prometheus:v3.5.0"
}

variable "otel_collector_image" {
  description = "Image of the OpenTelemetry collector."
  type        = string
  default     = "otel/opentelemetry-collector:0.155.0"
}

variable "grafana_image" {
  description = "Image of Grafana."
  type        = string
  default     = "grafana/grafana:12.1.0"
}

variable "workers" {
  description = "Workers of `bench fleet`, 0 to 32."
  type        = number
  default     = 0

  validation {
    condition     = var.workers >= 0 && var.workers <= 32 && floor(var.workers) == var.workers
    error_message = "workers: a whole number from 0 to 32."
  }
}

variable "fleet_token" {
  description = "What workers ask of who gives them orders; at least 16 characters, needed if there are workers."
  type        = string
  default     = ""
  sensitive   = true

  validation {
    condition     = var.fleet_token == "" || length(var.fleet_token) >= 16
    error_message = "fleet_token: at least 16 characters, or empty without workers."
  }
}

variable "publish_address" {
  description = "Address of this host on which admin pages, Prometheus and Grafana are published. Nobody is asked who he is there."
  type        = string
  default     = "127.0.0.1"

  validation {
    condition     = can(cidrhost("${var.publish_address}/32", 0))
    error_message = "publish_address: an IPv4 address, such as 127.0.0.1."
  }
}
