terraform {
  required_version = ">= 1.9" # a variable's validation looks at other variables

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 6.50"
    }
  }
}
