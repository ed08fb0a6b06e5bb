package manifests

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

const folder = "../../deploy/kubernetes"

// decoder refuses fields that the API does not have, and those given twice.
var decoder = func() runtime.Decoder {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, autoscalingv2.AddToScheme, batchv1.AddToScheme,
		corev1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			panic(err)
		}
	}
	return serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
}()

// cluster is what a kustomization makes.
type cluster struct {
	deployment *appsv1.Deployment
	job        *batchv1.Job
	service    *corev1.Service
	ingress    *networkingv1.Ingress
	network    *networkingv1.NetworkPolicy
	disruption *policyv1.PodDisruptionBudget
	autoscaler *autoscalingv2.HorizontalPodAutoscaler
	settings   *corev1.ConfigMap
	namespace  *corev1.Namespace
}

func build(path string) (c cluster, err error) {
	made, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), path)
	if err != nil {
		return c, err
	}
	for _, resource := range made.Resources() {
		text, err := resource.AsYAML()
		if err != nil {
			return c, err
		}
		object, _, err := decoder.Decode(text, nil, nil)
		if err != nil {
			return c, fmt.Errorf("%s: %w", resource.CurId(), err)
		}
		switch object := object.(type) {
		case *appsv1.Deployment:
			c.deployment = object
		case *batchv1.Job:
			c.job = object
		case *corev1.Service:
			c.service = object
		case *networkingv1.Ingress:
			c.ingress = object
		case *networkingv1.NetworkPolicy:
			c.network = object
		case *policyv1.PodDisruptionBudget:
			c.disruption = object
		case *autoscalingv2.HorizontalPodAutoscaler:
			c.autoscaler = object
		case *corev1.ConfigMap:
			c.settings = object
		case *corev1.Namespace:
			c.namespace = object
		default:
			return c, fmt.Errorf("%s: not expected", resource.CurId())
		}
	}
	return c, c.check()
}

// check fails unless the parts fit: what one names is in another.
func (c cluster) check() error {
	if c.deployment == nil || c.job == nil || c.service == nil || c.ingress == nil || c.network == nil ||
		c.disruption == nil || c.autoscaler == nil || c.settings == nil || c.namespace == nil {
		return errors.New("something is missing")
	}
	server, migration := c.deployment.Spec.Template, c.job.Spec.Template
	var wrong []error
	selects := func(who string, selector *metav1.LabelSelector, pods ...corev1.PodTemplateSpec) {
		parsed, err := metav1.LabelSelectorAsSelector(selector)
		for _, pod := range pods {
			if err != nil || parsed.Empty() || !parsed.Matches(labels.Set(pod.Labels)) {
				wrong = append(wrong, fmt.Errorf("%s does not select the pods %v: %v", who, pod.Labels, err))
			}
		}
	}
	selects("deployment", c.deployment.Spec.Selector, server)
	selects("service", metav1.SetAsLabelSelector(c.service.Spec.Selector), server)
	selects("disruption budget", c.disruption.Spec.Selector, server)
	selects("network policy", &c.network.Spec.PodSelector, server, migration)
	for _, spread := range server.Spec.TopologySpreadConstraints {
		selects("topology", spread.LabelSelector, server)
	}
	if service := metav1.SetAsLabelSelector(c.service.Spec.Selector); service.MatchLabels["app.kubernetes.io/component"] == migration.Labels["app.kubernetes.io/component"] {
		wrong = append(wrong, errors.New("the service selects the migration"))
	}
	if target := c.autoscaler.Spec.ScaleTargetRef; target.Kind != "Deployment" || target.Name != c.deployment.Name {
		wrong = append(wrong, fmt.Errorf("the autoscaler is for %s", target.Name))
	}
	backend := c.ingress.Spec.Rules[0].HTTP.Paths[0].Backend.Service
	if backend.Name != c.service.Name || !slices.ContainsFunc(c.service.Spec.Ports, func(port corev1.ServicePort) bool { return port.Name == backend.Port.Name }) {
		wrong = append(wrong, fmt.Errorf("the ingress is for %s, port %s", backend.Name, backend.Port.Name))
	}
	// What the ingress lets through: the longest body, in MiB, and requests that are
	// held, in seconds (docs/protocol/v5/administration.md §10).
	for name, least := range map[string]int{"proxy-body-size": 17, "proxy-read-timeout": 120, "proxy-send-timeout": 120} {
		value := c.ingress.Annotations["nginx.ingress.kubernetes.io/"+name]
		if found, err := strconv.Atoi(strings.TrimSuffix(value, "m")); err != nil || found < least {
			wrong = append(wrong, fmt.Errorf("ingress: %s is %q", name, value))
		}
	}
	container := server.Spec.Containers[0]
	named := []string{container.StartupProbe.HTTPGet.Port.StrVal, container.LivenessProbe.HTTPGet.Port.StrVal, container.ReadinessProbe.HTTPGet.Port.StrVal}
	for _, port := range c.service.Spec.Ports {
		named = append(named, port.TargetPort.StrVal)
	}
	for _, rule := range c.network.Spec.Ingress {
		for _, port := range rule.Ports {
			named = append(named, port.Port.StrVal)
		}
	}
	for _, name := range named {
		if !slices.ContainsFunc(container.Ports, func(port corev1.ContainerPort) bool { return port.Name == name }) {
			wrong = append(wrong, fmt.Errorf("no port is named %q", name))
		}
	}
	for _, pod := range []corev1.PodSpec{server.Spec, migration.Spec} {
		if container := pod.Containers[0]; container.EnvFrom[0].ConfigMapRef.Name != c.settings.Name || !strings.Contains(container.Image, ":") ||
			!*pod.SecurityContext.RunAsNonRoot || !*container.SecurityContext.ReadOnlyRootFilesystem {
			wrong = append(wrong, fmt.Errorf("%s: settings, image or rights", container.Name))
		}
		for name, value := range c.settings.Data {
			if strings.HasSuffix(name, "_FILE") && !strings.HasPrefix(value, pod.Containers[0].VolumeMounts[0].MountPath+"/") {
				wrong = append(wrong, fmt.Errorf("%s is no file of the secret: %s", name, value))
			}
		}
	}
	return errors.Join(wrong...)
}

func TestManifests(t *testing.T) {
	if _, err := build(folder); err != nil {
		t.Error(err)
	}
}

// TestWrongManifests has mistakes that are to be seen.
func TestWrongManifests(t *testing.T) {
	for name, mistake := range map[string]struct{ file, right, wrong string }{
		"unknown field":    {"deployment.yaml", "maxSurge", "maxSurges"},
		"wrong type":       {"autoscaler.yaml", "minReplicas: 2", "minReplicas: two"},
		"field twice":      {"service.yaml", "spec:", "kind: Service\nspec:"},
		"unknown kind":     {"disruption.yaml", "PodDisruptionBudget", "PodDisruption"},
		"old version":      {"autoscaler.yaml", "autoscaling/v2", "autoscaling/v2beta2"},
		"wrong label":      {"service.yaml", "component: server", "component: servers"},
		"wrong port":       {"deployment.yaml", "{path: /readyz, port: parsec}", "{path: /readyz, port: http}"},
		"wrong target":     {"autoscaler.yaml", "name: parsec}", "name: server}"},
		"short bodies":     {"ingress.yaml", "proxy-body-size: 17m", "proxy-body-size: 8m"},
		"little patience":  {"ingress.yaml", "proxy-read-timeout: \"120\"", "proxy-read-timeout: \"60\""},
		"missing settings": {"kustomization.yaml", "- name: parsec\n    envs", "- name: settings\n    envs"},
		"missing resource": {"kustomization.yaml", "  - disruption.yaml\n", ""},
		"secret elsewhere": {"settings.env", "/run/secrets/parsec/db", "/run/secrets/db"},
	} {
		t.Run(name, func(t *testing.T) {
			copied := t.TempDir()
			if err := os.CopyFS(copied, os.DirFS(folder)); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(copied, mistake.file)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Contains(text, []byte(mistake.right)) {
				t.Fatalf("%s has no %q", mistake.file, mistake.right)
			}
			if err := os.WriteFile(path, bytes.Replace(text, []byte(mistake.right), []byte(mistake.wrong), 1), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := build(copied); err == nil {
				t.Error("not seen")
			} else {
				t.Log(err)
			}
		})
	}
}
