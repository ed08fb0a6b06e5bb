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
var profiles = []string{"", "proxy", "scale", "mail", "monitoring", "versitygw", "swift", "backup"}

// tasks are the services that end.
var tasks = []string{"secrets", "settings", "migrate", "bucket", "backup", "restore"}

// madeHere are images that a Dockerfile of the project makes.
var madeHere = []string{"parsec-server:local", "parsec-swift"}

// folder is one with what a host downloads.
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
	return path
}

// makeSecrets runs what the service secrets runs, as it is set in the project, on
// the folder where a volume would be.
func makeSecrets(t *testing.T, project *types.Project, folder string) {
	t.Helper()
	service := project.Services["secrets"]
	var script string
	for _, volume := range service.Volumes {
		if volume.Target == service.Entrypoint[1] {
			script = volume.Source
		}
	}
	command := exec.CommandContext(t.Context(), service.Entrypoint[0], script)
	command.Env = []string{"PATH=" + os.Getenv("PATH")}
	for name, value := range service.Environment {
		command.Env = append(command.Env, name+"="+*value)
	}
	command.Env = append(command.Env, "SECRETS="+folder)
	if printed, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, printed)
	}
}

// secretIn reads a file that makeSecrets has made.
func secretIn(t *testing.T, folder, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(string(text), "\n")
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
	if want := map[bool]string{true: types.RestartPolicyNo, false: types.RestartPolicyUnlessStopped}[slices.Contains(tasks, service.Name)]; service.Restart != want {
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
			settle(t, path, profile)
			project := mustLoad(t, path, profile)
			secrets := t.TempDir()
			makeSecrets(t, project, secrets)
			settings := settingsOf(t, project, "server", secrets)
			if got := settings.AdministrationToken.Reveal(); got != secretIn(t, secrets, "administration_token") {
				t.Errorf("administration token %q", got)
			}
			if got := settings.Database.DSN.Reveal(); !strings.Contains(got, ":"+secretIn(t, secrets, "postgres_password")+"@db/") {
				t.Errorf("database %s", got)
			}
			store, blocks := "minio", settings.Blockstore
			switch profile {
			case "swift":
				store = profile
				if blocks.Swift.AuthURL != "http://swift:8080/auth/v1.0" || blocks.Swift.Password.Reveal() != secretIn(t, secrets, "store_password") {
					t.Errorf("blocks go to %+v", blocks.Swift)
				}
			case "versitygw":
				store = profile
				fallthrough
			default:
				port := map[string]string{"minio": "9000", "versitygw": "7070"}[store]
				if blocks.S3.Endpoint != "http://"+store+":"+port || blocks.S3.Secret.Reveal() != secretIn(t, secrets, "store_password") {
					t.Errorf("blocks go to %+v", blocks.S3)
				}
			}
			if settings.ShutdownGracePeriod != time.Minute {
				t.Errorf("a grace period of %s", settings.ShutdownGracePeriod)
			}
			minio := project.Services["minio"]
			if got := minio.GetScale() == 1; got != (store == "minio") || got == (minio.PullPolicy == types.PullPolicyNever) {
				t.Errorf("MinIO runs: %t, and is pulled by the policy %s", got, minio.PullPolicy)
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

// settingsOf reads the settings of a service as it does, with the secrets of a
// folder.
func settingsOf(t *testing.T, project *types.Project, service, secrets string) config.Config {
	t.Helper()
	environment := config.Environment{Variables: map[string]string{}}
	for name, value := range project.Services[service].Environment {
		if value != nil && *value != "" {
			environment.Variables[name] = strings.Replace(*value, "/secrets/", secrets+"/", 1)
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

var suggestion = regexp.MustCompile(`(?m)^#([A-Z0-9_]+=.+)$`)

// settle writes .env with what .env.example has in a comment for the profile.
func settle(t *testing.T, path, profile string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path, ".env.example"))
	if err != nil {
		t.Fatal(err)
	}
	settings := "COMPOSE_PROFILES=" + profile + "\n"
	for paragraph := range strings.SplitSeq(string(text), "\n\n") {
		title, _, _ := strings.Cut(strings.TrimPrefix(paragraph, "# "), ":")
		if profile != "" && slices.Contains(strings.Split(title, ", "), profile) {
			for _, found := range suggestion.FindAllStringSubmatch(paragraph, -1) {
				settings += found[1] + "\n"
			}
		}
	}
	if err := os.WriteFile(filepath.Join(path, ".env"), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestSecrets makes each once, takes those of .env, and shows none to whoever has
// no business with it.
func TestSecrets(t *testing.T) {
	path, secrets := folder(t), t.TempDir()
	makeSecrets(t, mustLoad(t, path, ""), secrets)
	made := map[string]string{}
	for _, name := range []string{"administration_token", "postgres_password", "store_password", "grafana_password"} {
		made[name] = secretIn(t, secrets, name)
		if !regexp.MustCompile("^[0-9A-Za-z]{40,}$").MatchString(made[name]) {
			t.Errorf("%s is %q", name, made[name])
		}
	}
	if len(slices.Compact(slices.Sorted(maps.Values(made)))) != len(made) {
		t.Error("two secrets are the same")
	}
	own := "S3_SECRET_KEY=mine\nPARSEC_BLOCKSTORE='raid1:0:file:/a raid1:1:file:/b'\n"
	if err := os.WriteFile(filepath.Join(path, ".env"), []byte(own), 0o600); err != nil {
		t.Fatal(err)
	}
	makeSecrets(t, mustLoad(t, path, ""), secrets)
	made["store_password"], made["blockstore"] = "mine", "raid1:0:file:/a\nraid1:1:file:/b"
	for name, want := range made {
		if got := secretIn(t, secrets, name); got != want {
			t.Errorf("the second time %s is %q, want %q", name, got, want)
		}
		about, err := os.Stat(filepath.Join(secrets, name))
		if err != nil {
			t.Fatal(err)
		}
		if about.Mode() != 0o640 {
			t.Errorf("%s has the mode %s", name, about.Mode())
		}
	}
}

// TestSmall holds the small stack to what the other one says.
func TestSmall(t *testing.T) {
	path := folder(t)
	options, err := cli.NewProjectOptions([]string{filepath.Join(path, "deploy/compose/small.yml")},
		cli.WithWorkingDirectory(filepath.Join(path, "deploy/compose")), cli.WithProfiles([]string{"*"}))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, service := range project.Services {
		t.Run(name, func(t *testing.T) { checkService(t, service) })
		if strings.Contains(service.Image, "minio") {
			t.Errorf("%s needs MinIO", name)
		}
	}
	secrets := t.TempDir()
	makeSecrets(t, project, secrets)
	blocks := settingsOf(t, project, "server", secrets).Blockstore
	if blocks.Kind != config.BlockstoreFolder || !slices.ContainsFunc(project.Services["server"].Volumes, func(volume types.ServiceVolumeConfig) bool {
		return volume.Type == types.VolumeTypeVolume && strings.HasPrefix(blocks.Folder, volume.Target+"/")
	}) {
		t.Errorf("blocks go to %s", blocks)
	}
}
