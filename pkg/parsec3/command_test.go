package parsec3_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"parsec-server/internal/testkit/vectors"
)

// kindsOf are the families of the vectors, as they are named in Go.
var kindsOf = map[string]string{
	"authenticated": "Authenticated", "tos": "TOS", "anonymous": "Anonymous", "anonymous_server": "AnonymousServer",
	"invited": "Invited", "authenticated_account": "AuthenticatedAccount",
}

var (
	definition = regexp.MustCompile(`(\w+) += rpc\.Define\[[^]]*\]\("(\w+)", V5, ([\w|]+)`)
	binding    = regexp.MustCompile(`rpc\.Bind(?:Encoded)?\(protocol\.(\w+), (.*)\),\n`)
	ruleOf     = regexp.MustCompile(`\br\.(\w+)\)*$`)
)

// handled are the functions of the server that answer by a rule of another name, or by
// none.
var handled = map[string]string{
	"refuseEventsListen": "TestEventsListenAsCommand", "pong": `"/anonymous_server"`, "r.PingInvited": `"/invited/"`, "getCertificates(r)": "Certificates(",
	"readBlock(r)": "BlockRead(", "serverConfig(r)": "server_config", "mutualChallenges(r)": "SCWSServiceMutualChallenges(",
}

// TestEveryCommand has each of the 79 commands in its family, answered by a rule that a
// test calls, and sent by the Go client.
func TestEveryCommand(t *testing.T) {
	defined := map[string]string{} // by family and name
	for _, found := range definition.FindAllStringSubmatch(read(t, "protocol/command.go"), -1) {
		for kind := range strings.SplitSeq(found[3], "|") {
			defined[kind+" "+found[2]] = found[1]
		}
	}
	rules := map[string][]string{}
	for _, found := range binding.FindAllStringSubmatch(read(t, "../server/parsec3/handlers.go"), -1) {
		rules[found[1]] = append(rules[found[1]], found[2])
	}
	tests := read(t, "rules/*_test.go", "../server/parsec3/*_test.go")
	clients := read(t, "../../internal/e2e/parsec3/*_test.go", "../../internal/invariants3/*_test.go", "../../internal/testkit/testclient3/*.go",
		"../client/parsec3/*.go", "../client/parsec3/bench/*.go", "../server/parsec3/*_test.go")
	commands := vectors.Load[struct {
		Current []struct{ Family, Cmd string }
	}](t, "v5/commands.json").Current
	if len(commands) != 79 {
		t.Errorf("there are %d commands", len(commands))
	}
	for _, c := range commands {
		name := defined[kindsOf[c.Family]+" "+c.Cmd]
		if name == "" || len(rules[name]) == 0 {
			t.Errorf("%s of %s is not answered", c.Cmd, c.Family)
			continue
		}
		for _, by := range rules[name] {
			call := handled[by]
			if found := ruleOf.FindStringSubmatch(by); call == "" && found != nil {
				call = "." + found[1] + "("
			}
			if call == "" || !strings.Contains(tests, call) {
				t.Errorf("%s: no test calls %s", c.Cmd, by)
			}
		}
		if !strings.Contains(clients, "protocol."+name+",") {
			t.Errorf("%s of %s is sent by no client", c.Cmd, c.Family)
		}
	}
}

// read returns the text of files.
func read(t *testing.T, patterns ...string) string {
	t.Helper()
	var text strings.Builder
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("no files %s: %v", pattern, err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text.Write(content)
		}
	}
	return text.String()
}
