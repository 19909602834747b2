output "controller_addresses" {
  description = "`controllerAddr` of brokers in the same Docker network."
  value       = join(";", [for it in local.controllers : "${it.host}:9878"])
}

output "worker_addresses" {
  description = "`--workers` of `bench fleet` in the same Docker network."
  value       = join(",", [for worker in docker_container.worker : "${worker.hostname}:9700"])
}

output "network" {
  description = "The Docker network that everything is in."
  value       = docker_network.this.name
}

output "status_pages" {
  description = "Status page of each controller."
  value       = [for it in local.controllers : "http://${var.publish_address}:${it.admin_port}/"]
}

output "prometheus" {
  description = "Prometheus, with the alert rules."
  value       = "http://${var.publish_address}:9090"
}

output "grafana" {
  description = "Grafana, with the dashboard."
  value       = "http://${var.publish_address}:3000"
}
