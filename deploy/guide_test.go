package deploy_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"parsec-server/pkg/config"
)

// skeleton returns what a guide has in every language: the levels of its
// headings, its commands, the sizes of its tables, and what it names.
func skeleton(t *testing.T, path string) []string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	var parts []string
	for _, block := range regexp.MustCompile("(?ms)^```.*?^```$").FindAllString(text, -1) {
		parts = append(parts, block)
		text = strings.Replace(text, block, "", 1)
	}
	parts = append(parts, regexp.MustCompile(`(?m)^#+ `).FindAllString(text, -1)...)
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "|") || strings.HasPrefix(line, "- ") {
			parts = append(parts, line[:1])
		}
	}
	names := regexp.MustCompile("(PARSEC_[A-Z_]+|`[^`]+`)").FindAllString(text, -1)
	slices.Sort(names)
	return append(parts, slices.Compact(names)...)
}

func TestGuides(t *testing.T) {
	t.Parallel()
	english, french := skeleton(t, "../docs/hosting.md"), skeleton(t, "../docs/hosting.fr.md")
	for i := range max(len(english), len(french)) {
		if i >= len(english) || i >= len(french) || english[i] != french[i] {
			t.Fatalf("the guides differ from here on:\n%q\n%q", english[min(i, len(english)):], french[min(i, len(french)):])
		}
	}
}

// TestGuideLinks follows every link of the guides within the project.
func TestGuideLinks(t *testing.T) {
	t.Parallel()
	for _, guide := range []string{"hosting.md", "hosting.fr.md"} {
		content, err := os.ReadFile(filepath.Join("../docs", guide))
		if err != nil {
			t.Fatal(err)
		}
		var anchors []string
		for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(string(content), -1) {
			text := strings.NewReplacer(" ", "-", ",", "", "'", "").Replace(strings.ToLower(heading[1]))
			anchors = append(anchors, "#"+text)
		}
		for _, link := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(string(content), -1) {
			file, _, _ := strings.Cut(link[1], "#") // Anchors of other documents are not looked for.
			switch {
			case strings.HasPrefix(file, "https://"): // Tests reach no other machine.
			case file == "":
				if !slices.Contains(anchors, link[1]) {
					t.Errorf("%s: no heading for %s", guide, link[1])
				}
			default:
				if _, err := os.Stat(filepath.Join("../docs", file)); err != nil {
					t.Errorf("%s: %v", guide, err)
				}
			}
		}
	}
}

// TestVariables finds mistyped names, of which a server only warns.
func TestVariables(t *testing.T) {
	t.Parallel()
	// What commands other than the server read comes first.
	known := []string{config.ArgumentsVariable, config.AddressVariable, config.CopyTargetVariable}
	for _, setting := range config.Settings() {
		known = append(known, setting.Variable)
		if setting.Secret {
			known = append(known, setting.Variable+"_FILE")
		}
	}
	for _, path := range []string{
		"../Procfile", "../app.json", "../scalingo.json", "../docker-compose.yml", "../docs/hosting.md", "../docs/hosting.fr.md",
		"systemd/parsec.service", "kubernetes/settings.env", "nginx/parsec.conf", "caddy/parsec.Caddyfile", "haproxy/haproxy.cfg", "haproxy/hold.cfg", "traefik/parsec.yml",
	} {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`PARSEC_[A-Z0-9_]*[A-Z0-9]`).FindAllString(string(content), -1) {
			if !slices.Contains(known, name) {
				t.Errorf("%s: nothing reads %s", path, name)
			}
		}
	}
}
