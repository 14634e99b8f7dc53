# A SealedSecret from a file that kubeseal wrote, applied by Terraform or OpenTofu: docs/terraform.md.
terraform {
  required_providers {
    kubernetes = {
      source  = "hashicorp/kubernetes"
      version = ">= 2.20"
    }
  }
}

provider "kubernetes" {
  config_path = "~/.kube/config"
}

resource "kubernetes_manifest" "api" {
  # The file has no status; what the controller writes there is not part of the plan.
  manifest = yamldecode(file("${path.module}/api.yaml"))

  # The apply fails unless the Secret matches within two minutes.
  wait {
    condition {
      type   = "Ready"
      status = "True"
    }
  }

  timeouts {
    create = "2m"
    update = "2m"
  }

  lifecycle {
    # Another name or namespace is another object: the plan would delete the Secret first.
    prevent_destroy = true
  }
}
