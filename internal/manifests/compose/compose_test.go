// Package compose tests what docker-compose.yml says, with the parser of Docker
// Compose and without its engine. deploy/test/compose runs it.
package compose

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"parsec-server/pkg/config"
)

const root = "../../.."

// profiles are those that the guide names; "" is none.
var profiles = []string{"", "proxy", "scale", "mail", "monitoring", "versitygw", "swift"}

// madeHere are images that a Dockerfile of the project makes.
var madeHere = []string{"parsec-server:local", "parsec-swift"}

// folder is one with what a host downloads, and the settings that make-env
// writes in it.
func folder(t *testing.T) string {
	t.Helper()
	path := t.TempDir()
	for _, name := range []string{"docker-compose.yml", ".env.example"} {
		content, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(filepath.Join(path, "deploy"), os.DirFS(filepath.Join(root, "deploy"))); err != nil {
		t.Fatal(err)
	}
	if output, err := makeEnv(t, path); err != nil {
		t.Fatalf("make-env: %v\n%s", err, output)
	}
	return path
}

func makeEnv(t *testing.T, path string) (output string, err error) {
	t.Helper()
	printed, err := exec.CommandContext(t.Context(), filepath.Join(path, "deploy/compose/make-env")).CombinedOutput()
	return string(printed), err
}

// load returns what Docker Compose understands. Variables come from .env alone.
func load(ctx context.Context, path string, more ...cli.ProjectOptionsFn) (*types.Project, error) {
	options, err := cli.NewProjectOptions([]string{filepath.Join(path, "docker-compose.yml")},
		append([]cli.ProjectOptionsFn{cli.WithWorkingDirectory(path), cli.WithEnvFiles(), cli.WithDotEnv}, more...)...)
	if err != nil {
		return nil, err
	}
	return options.LoadProject(ctx)
}

func mustLoad(t *testing.T, path, profile string) *types.Project {
	t.Helper()
	project, err := load(t.Context(), path, cli.WithProfiles([]string{profile}))
	if err != nil {
		t.Fatalf("profile %q: %v", profile, err)
	}
	return project
}

// TestServices holds each service of each profile to the rules of the house.
func TestServices(t *testing.T) {
	used := map[string]bool{"": true}
	for name, service := range mustLoad(t, folder(t), "*").Services {
		for _, profile := range service.Profiles {
			used[profile] = true
		}
		t.Run(name, func(t *testing.T) { checkService(t, service) })
	}
	if got := slices.Sorted(maps.Keys(used)); !slices.Equal(got, slices.Sorted(slices.Values(profiles))) {
		t.Errorf("the profiles are %q", got)
	}
}

// pinned is a tag that stays within a major version at least.
var pinned = regexp.MustCompile(`:(v|RELEASE\.)?\d[\w.-]*$`)

func checkService(t *testing.T, service types.ServiceConfig) {
	if !pinned.MatchString(service.Image) && !slices.Contains(madeHere, service.Image) {
		t.Errorf("the image %q is not pinned", service.Image)
	}
	task := slices.Contains([]string{"migrate", "bucket"}, service.Name)
	if want := map[bool]string{true: types.RestartPolicyNo, false: types.RestartPolicyUnlessStopped}[task]; service.Restart != want {
		t.Errorf("restarts %q, want %q", service.Restart, want)
	}
	if service.Deploy == nil || service.Deploy.Resources.Limits == nil {
		t.Fatal("no limits")
	}
	if limits := service.Deploy.Resources.Limits; limits.MemoryBytes <= 0 || limits.NanoCPUs <= 0 || limits.Pids <= 0 {
		t.Errorf("limits %+v", *limits)
	}
	if service.Logging == nil || service.Logging.Driver != "local" {
		t.Errorf("logs grow without a bound: %+v", service.Logging)
	}
	for _, port := range service.Ports {
		public := service.Name == "proxy" && port.HostIP == ""
		if !public && port.HostIP != "127.0.0.1" {
			t.Errorf("port %s is published on %q", port.Published, port.HostIP)
		}
	}
	if service.Privileged || len(service.CapAdd) > 1 || service.NetworkMode != "" {
		t.Errorf("too many rights: %v %v %q", service.Privileged, service.CapAdd, service.NetworkMode)
	}
	for _, volume := range service.Volumes {
		if volume.Type == types.VolumeTypeBind {
			if _, err := os.Stat(volume.Source); err != nil || !volume.ReadOnly {
				t.Errorf("%s is mounted, read-only %t: %v", volume.Source, volume.ReadOnly, err)
			}
		}
	}
	if strings.HasPrefix(service.Image, "parsec-server:") {
		if !service.ReadOnly || !slices.Equal(service.CapDrop, []string{"ALL"}) || !slices.Contains(service.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("a server may write %t, has rights %v, options %v", !service.ReadOnly, service.CapDrop, service.SecurityOpt)
		}
	}
}

// TestServersSettings reads the settings of the servers of each profile as they
// do, with what .env.example says to set for it.
func TestServersSettings(t *testing.T) {
	for _, profile := range profiles {
		t.Run(profile, func(t *testing.T) {
			path := folder(t)
			secrets := settle(t, filepath.Join(path, ".env"), profile)
			project := mustLoad(t, path, profile)
			settings := settingsOf(t, project, "server")
			if got := settings.AdministrationToken.Reveal(); got != secrets["PARSEC_ADMINISTRATION_TOKEN"] {
				t.Errorf("administration token %q", got)
			}
			if got := settings.Database.DSN.Reveal(); !strings.Contains(got, ":"+secrets["POSTGRES_PASSWORD"]+"@db/") {
				t.Errorf("database %s", got)
			}
			store, blocks := "minio", settings.Blockstore
			switch profile {
			case "swift":
				store = profile
				if blocks.Swift.AuthURL != "http://swift:8080/auth/v1.0" || blocks.Swift.Password.Reveal() != secrets["S3_SECRET_KEY"] {
					t.Errorf("blocks go to %+v", blocks.Swift)
				}
			case "versitygw":
				store = profile
				fallthrough
			default:
				port := map[string]string{"minio": "9000", "versitygw": "7070"}[store]
				if blocks.S3.Endpoint != "http://"+store+":"+port || blocks.S3.Secret.Reveal() != secrets["S3_SECRET_KEY"] {
					t.Errorf("blocks go to %+v", blocks.S3)
				}
			}
			if settings.ShutdownGracePeriod != time.Minute {
				t.Errorf("a grace period of %s", settings.ShutdownGracePeriod)
			}
			minio := project.Services["minio"]
			if got := minio.GetScale() == 1; got != (store == "minio") {
				t.Errorf("MinIO runs: %t", got)
			}
			if got := settings.Email.Host != ""; got != (profile == "mail") {
				t.Errorf("e-mail %t", got)
			}
			for name, service := range project.Services {
				if strings.HasPrefix(name, "server") && time.Duration(*service.StopGracePeriod) <= settings.ShutdownGracePeriod+10*time.Second {
					t.Errorf("%s is killed after %s, before its %s of grace", name, service.StopGracePeriod, settings.ShutdownGracePeriod)
				}
			}
		})
	}
}

func settingsOf(t *testing.T, project *types.Project, service string) config.Config {
	t.Helper()
	environment := config.Environment{Variables: map[string]string{}}
	for name, value := range project.Services[service].Environment {
		if value != nil && *value != "" {
			environment.Variables[name] = *value
		}
		if strings.HasPrefix(name, "PARSEC_") {
			environment.Names = append(environment.Names, name)
		}
	}
	loaded, err := config.Load(nil, environment)
	if err != nil {
		t.Fatalf("%s does not start: %v", service, err)
	}
	for _, warning := range loaded.Warnings {
		if !strings.Contains(warning, "no e-mail is sent") {
			t.Errorf("%s warns: %s", service, warning)
		}
	}
	return loaded.Config
}

var (
	assignment = regexp.MustCompile(`(?m)^([A-Z0-9_]+)=(.+)$`)
	suggestion = regexp.MustCompile(`(?m)^#([A-Z0-9_]+=.+)$`)
)

// settle sets what .env has in a comment for the profile, and gives the secrets
// of .env.
func settle(t *testing.T, path, profile string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string]string{}
	for _, found := range assignment.FindAllStringSubmatch(string(text), -1) {
		secrets[found[1]] = found[2]
	}
	var settings strings.Builder
	settings.Write(text)
	for paragraph := range strings.SplitSeq(string(text), "\n\n") {
		if profile != "" && strings.HasPrefix(paragraph, "# "+profile+":") {
			for _, found := range suggestion.FindAllStringSubmatch(paragraph, -1) {
				settings.WriteString(strings.ReplaceAll(found[1], "<the value of S3_SECRET_KEY>", secrets["S3_SECRET_KEY"]) + "\n")
			}
		}
	}
	if err := os.WriteFile(path, []byte(settings.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return secrets
}

// TestSecrets has each asked for by its name, in one line.
func TestSecrets(t *testing.T) {
	path := folder(t)
	file := filepath.Join(path, ".env")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(name string, want string) {
		_, err := load(t.Context(), path)
		if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "variable "+name+" is missing") || !strings.Contains(err.Error(), want) {
			t.Errorf("without %s: %v", name, err)
		}
	}
	values := map[string]bool{}
	for _, name := range []string{"PARSEC_ADMINISTRATION_TOKEN", "POSTGRES_PASSWORD", "S3_SECRET_KEY", "GRAFANA_PASSWORD"} {
		line := regexp.MustCompile("(?m)^" + name + "=([0-9A-Za-z]{40,})$")
		found := line.FindSubmatch(text)
		if found == nil || values[string(found[1])] {
			t.Fatalf("make-env makes no good secret %s", name)
		}
		values[string(found[1])] = true
		if err := os.WriteFile(file, line.ReplaceAll(text, []byte(name+"=")), 0o600); err != nil {
			t.Fatal(err)
		}
		refused(name, ".env")
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	refused("PARSEC_ADMINISTRATION_TOKEN", "run deploy/compose/make-env")
}

// TestMakeEnv changes nothing the second time.
func TestMakeEnv(t *testing.T) {
	path := folder(t)
	file := filepath.Join(path, ".env")
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	output, err := makeEnv(t, path)
	if err == nil || output != "make-env: .env exists already, and nothing was changed\n" {
		t.Errorf("the second time: %v, %s", err, output)
	}
	after, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(after) != string(before) {
		t.Error("the second make-env changes .env")
	}
	about, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if about.Mode() != 0o600 {
		t.Errorf("others can read .env: %s", about.Mode())
	}
}
