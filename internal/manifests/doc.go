// Package manifests validates the manifests of Kubernetes without a cluster.
package manifests
