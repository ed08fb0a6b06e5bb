package main

import (
	"encoding/pem"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/config"
	"parsec-server/pkg/server"
)

// argumentValues are what is given for the arguments of commands, by their names in
// the line of usage. That of a new command is a line here.
var argumentValues = map[string]string{
	"ORGANIZATION": "MyOrg",
	"URL":          "parsec://localhost:1/MyOrg?no_ssl=true&action=bootstrap_organization&token=cafe",
	"EMAIL":        "zoe@example.com",
	"DIRECTORY":    "@folder/new",
	"FOLDER":       "@folder/data",
	"ARCHIVE":      "@folder/archive.tar",
}

// optionValues are what is given for options that must be given, by their names. That of
// a new option is a line here.
var optionValues = map[string]string{
	"organization": "MyOrg", "realm": someID, "service": someID, "service-id": someID,
	"human-label": "Alice", "human-email": "alice@example.com", "device-label": "laptop",
	"service-public-key": "@folder/public", "authority-private-key": "@folder/private", "service-label": "Archive",
	"service-certificate": "@folder/certificate", "service-revocation-certificate": "@folder/revocation",
	"output": "@folder/output", "to": "s3::region:bucket:key:secret", "from": "@database",
	"db": "@database", "blockstore": "POSTGRESQL", "administration-token": testkit.AdministrationToken,
}

const someID = "0f9d3c6a7b1e4c5d8e2f1a3b5c7d9e0f"

// moreWords are what else commands need before they ask a server or a database.
var moreWords = map[string][]string{
	"parsec organization update":     {"--active-users-limit", "7"},
	"parsec organization freeze":     {"--user-email", "alice@example.com"},
	"parsec organization unfreeze":   {"--user-email", "alice@example.com"},
	"parsec organization reset-totp": {"--user-email", "alice@example.com"},
	"parsec organization delete":     {"--yes"},
	"parsec backend import":          {"--db", "@database"},
	"parsec backend check":           {"--blockstore", "POSTGRESQL"},
	"parsec core freeze_user":        {"--user-email", "alice@example.com"},
	"parsec sequester create-service": {
		"--service-certificate", "@folder/certificate",
	},
	"parsec sequester update-service": {"--enable"},
	"parsec account delete":           {"--yes"},
	"parsec bench":                    {"--duration", "10ms", "--connections", "1"},
}

// settingCommands take every setting of the server, whose tests are those of the settings.
var settingCommands = []string{"parsec backend run", "parsec backend config", "parsec backend healthcheck", "parsec run"}

// commandTest runs a command with what it needs.
type commandTest struct {
	t       *testing.T
	folder  string
	command *cobra.Command
}

// eachCommand runs a test for each command that does something, official names of ours
// included.
func eachCommand(t *testing.T, do func(*commandTest)) {
	t.Helper()
	folder := t.TempDir()
	keys := rsaKeys(t)
	for name, block := range map[string]*pem.Block{
		"public":  {Type: "PUBLIC KEY", Bytes: keys["sequester_service"].Public},
		"private": {Type: "PRIVATE KEY", Bytes: keys["sequester_authority"].Private},
	} {
		if err := os.WriteFile(filepath.Join(folder, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := &shell{t: t}
	certified := []string{"--service-label", "x", "--service-public-key", filepath.Join(folder, "public"), "--authority-private-key", filepath.Join(folder, "private")}
	s.succeed(append([]string{"sequester", "generate-service-certificate", "-o", filepath.Join(folder, "certificate")}, certified...)...)
	s.succeed("sequester", "generate-service-revocation-certificate", filepath.Join(folder, "revocation"), "--service-id", someID,
		"--authority-private-key", filepath.Join(folder, "private"))
	p := program{environment: environmentOf(nil), stdout: &testkit.Output{}, stderr: &testkit.Output{}}
	walkCommands(p.rootCommand(), func(command *cobra.Command) {
		if command.Runnable() && doesWork(command) && command.Name() != "help" {
			t.Run(strings.TrimPrefix(command.CommandPath(), "parsec "), func(t *testing.T) { do(&commandTest{t, folder, command}) })
		}
	})
}

// path names the command without the group that it is also in, and by its own name.
func (c *commandTest) path() string { return c.command.CommandPath() }

// words are a command line with all that must be given, but without some options.
func (c *commandTest) words(without ...string) []string {
	c.t.Helper()
	words := strings.Fields(c.command.CommandPath())[1:]
	for _, argument := range strings.Fields(c.command.Use)[1:] {
		if strings.HasPrefix(argument, "[") {
			continue
		}
		value, known := argumentValues[argument]
		if !known {
			c.t.Fatalf("no value of %s: add one to argumentValues", argument)
		}
		words = append(words, value)
	}
	allFlags(c.command).VisitAll(func(flag *pflag.Flag) {
		if !isRequired(flag) || flag.Hidden || slices.Contains(without, flag.Name) {
			return
		}
		value, known := optionValues[flag.Name]
		if !known {
			c.t.Fatalf("no value of --%s: add one to optionValues", flag.Name)
		}
		words = append(words, "--"+flag.Name, value)
	})
	more := moreWords[c.path()]
	if more == nil {
		more = moreWords[strings.ReplaceAll(strings.Replace(c.path(), "parsec backend ", "parsec ", 1), "_", "-")]
	}
	return append(words, more...)
}

// run puts the folder and a database that nobody serves in place of their names.
func (c *commandTest) run(variables map[string]string, words ...string) outcome {
	c.t.Helper()
	replace := strings.NewReplacer("@folder", c.folder, "@database", "postgresql://nobody:secret@127.0.0.1:1/none")
	for i := range words {
		words[i] = replace.Replace(words[i])
	}
	own := map[string]string{}
	switch {
	case c.path() == "parsec backend healthcheck":
		own["PARSEC_PORT"] = "1" // where nobody serves
	case !slices.Contains(settingCommands, c.path()):
		own["PARSEC_MAXIMUM_DATABASE_CONNECTION_ATTEMPTS"] = "1" // what nobody serves is not waited for
	}
	maps.Copy(own, variables)
	return executeWith(c.t.Context(), idle, own, words...)
}

// want is what every refusal is like: on the standard error alone, and in words.
func (c *commandTest) want(got outcome, code int, text string) {
	c.t.Helper()
	if got.code != code || got.stdout != "" || !strings.Contains(got.stderr, "Error: ") || !strings.Contains(got.stderr, text) || strings.Contains(got.stderr, "secret@") {
		c.t.Errorf("exit code %d, standard output %q, standard error\n%s\nwant %d and %q", got.code, got.stdout, got.stderr, code, text)
	}
}

// unjudged are options whose value is only judged by a server, or with others.
var unjudged = []string{"user-id", "after", "help"}

// judgedLater are files that are opened once a database has answered, or that another
// option excludes.
var judgedLater = []string{
	"backend realm delete", "backend sequester create-service", "backend sequester export-realm", "delete_realm",
	"realm delete", "sequester create-service", "sequester export-realm",
}

// wrongValueOf returns one that an option must refuse by itself, "" for none.
func wrongValueOf(flag *pflag.Flag) string {
	if slices.Contains(unjudged, flag.Name) || flag.Hidden {
		return ""
	}
	switch kind := valueKind(flag); {
	case flag.Value.Type() == "bool":
		return "=perhaps"
	case len(flag.Annotations[choiceNote]) > 0:
		return "=jsno"
	case flag.Name == "db":
		return "=mysql://localhost/parsec"
	case flag.Name == "blockstore" || flag.Name == "to":
		return "=s3:http://localhost:9000:region:bucket:key:secret"
	case flag.Name == addrOption:
		return "=http://localhost"
	case kind == fileKind && flag.Name != "data":
		return "=/proc/none/file" // where nothing is
	case slices.Contains([]string{"integer", "duration", "date", "id", "seconds", organizationName}, kind):
		return "=a b"
	default:
		return ""
	}
}

// TestWrongValues gives every option of every command a value that it cannot have. What
// refuses begins as help does.
func TestWrongValues(t *testing.T) {
	t.Parallel()
	eachCommand(t, func(c *commandTest) {
		if slices.Contains(settingCommands, c.path()) {
			return
		}
		allFlags(c.command).VisitAll(func(flag *pflag.Flag) {
			later := valueKind(flag) == fileKind && slices.Contains(judgedLater, strings.TrimPrefix(c.path(), "parsec "))
			if wrong := wrongValueOf(flag); wrong != "" && !later {
				got := c.run(nil, append(c.words(flag.Name), "--"+flag.Name+wrong)...)
				c.want(got, exitUsage, "--"+flag.Name)
			}
		})
		got := c.run(nil, append(c.words(), "--what")...)
		c.want(got, exitUsage, "No such option: --what")
		usage, _, _ := strings.Cut(c.run(nil, append(strings.Fields(c.path())[1:], "--help")...).stdout, "\n")
		if !strings.HasPrefix(usage, "Usage: "+c.path()) || !strings.HasPrefix(got.stderr, usage+"\n") {
			c.t.Errorf("%s: help begins with %q, a refusal is\n%s", c.path(), usage, got.stderr)
		}
	})
}

// TestWrongContents gives values that are only judged when they are used.
func TestWrongContents(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	private := filepath.Join(folder, "private")
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: rsaKeys(t)["sequester_authority"].Private})
	if err := os.WriteFile(private, key, 0o600); err != nil {
		t.Fatal(err)
	}
	server := newShell(t)
	for line, want := range map[string]string{
		"account list --db postgresql://localhost/x?sslmode=perhaps":                                                             "Invalid value for '--db': the DSN of the database is not valid: ",
		"backend import --db postgresql://localhost/x --from postgresql://localhost/x?sslmode=perhaps":                           "Invalid value for '--from': the DSN of the database is not valid: ",
		strings.Join(bootstrapArguments(argumentValues["URL"]), " ") + " --output=" + private:                                    "Invalid value for '--output': save device: open " + private + ": file exists",
		"backend backup " + folder + " " + folder + "/x.tar":                                                                     "Invalid value for 'FOLDER': " + folder + " has no database of its own\n",
		"backend upgrade " + folder + "/none":                                                                                    "Invalid value for 'FOLDER': " + folder + "/none has no database of its own\n",
		"backend restore " + folder + "/none " + folder + "/new":                                                                 "Invalid value for 'ARCHIVE': this is no backup of a folder of data: open " + folder + "/none: no such file or directory\n",
		"backend restore KEY " + folder + "/new":                                                                                 "Invalid value for 'ARCHIVE': " + private + ": this is no backup of a folder of data: ",
		"backend email preview /proc/none/x":                                                                                     "Invalid value for 'DIRECTORY': mkdir /proc/none: no such file or directory\n",
		"backend email templates " + folder:                                                                                      "Invalid value for 'DIRECTORY': " + private + " is in the way: nothing is written\n",
		"organization server-stats --output " + folder:                                                                           "Invalid value for '--output': ",
		"sequester generate-service-certificate --service-label x --service-public-key KEY --authority-private-key KEY":          "Invalid value for '--service-public-key': " + private + ": a PRIVATE KEY, not a PUBLIC KEY",
		"sequester generate-service-revocation-certificate /proc/none/x --service-id " + someID + " --authority-private-key KEY": "Invalid value for 'OUTPUT': ",
	} {
		got := executeWith(t.Context(), idle, server.variables, strings.Fields(strings.ReplaceAll(line, "KEY", private))...)
		if got.code != exitUsage || !strings.Contains(got.stderr, "Error: "+want) {
			t.Errorf("%s: %+v", line, got)
		}
	}
	if found, err := os.ReadDir(folder); err != nil || len(found) != 1 {
		t.Errorf("what was wrong left %v, %v", found, err)
	}
}

// TestNothingGiven has every command name all that is missing at once.
func TestNothingGiven(t *testing.T) {
	t.Parallel()
	eachCommand(t, func(c *commandTest) {
		var missing []string
		for _, argument := range strings.Fields(c.command.Use)[1:] {
			if !strings.HasPrefix(argument, "[") {
				missing = append(missing, "Missing argument '"+argument+"'.")
			}
		}
		allFlags(c.command).VisitAll(func(flag *pflag.Flag) {
			if isRequired(flag) && !flag.Hidden {
				missing = append(missing, "Missing option '--"+flag.Name+"'.")
			}
		})
		if len(missing) == 0 {
			return
		}
		got := c.run(nil, strings.Fields(c.command.CommandPath())[1:]...)
		for _, text := range missing {
			c.want(got, exitUsage, text)
		}
	})
}

// TestNoServer has every command of administrators ask where nobody is, and TestWrongToken
// one that knows another token.
func TestNoServer(t *testing.T) {
	t.Parallel()
	eachCommand(t, func(c *commandTest) {
		if allFlags(c.command).Lookup(addrOption) != nil {
			c.want(c.run(nil, append(c.words(), "--addr", "parsec://127.0.0.1:1?no_ssl=true")...), exitFailure, "No server answers at 127.0.0.1:1")
		}
	})
}

// patient is a server that takes as many wrong tokens as there are commands: each look at
// its clock is a minute later.
func patient() server.Options {
	var looks atomic.Int64
	return server.Options{Elapsed: func() time.Duration { return time.Duration(looks.Add(1)) * time.Minute }}
}

func TestWrongToken(t *testing.T) {
	t.Parallel()
	server := testkit.StartGenerations(t, testkit.GenerationsOptions{Server: patient()})
	eachCommand(t, func(c *commandTest) {
		if allFlags(c.command).Lookup(addrOption) != nil {
			got := c.run(map[string]string{"PARSEC_ADMINISTRATION_TOKEN": "wrong"}, append(c.words(tokenOption), "--addr", server.Address.String())...)
			c.want(got, exitFailure, "The server at "+hostPort(server.Address)+" refused the administration token (from the variable PARSEC_ADMINISTRATION_TOKEN).")
		}
	})
}

// TestNoDatabase has every command that works on a database say that it does not answer.
func TestNoDatabase(t *testing.T) {
	t.Parallel()
	eachCommand(t, func(c *commandTest) {
		option := allFlags(c.command).Lookup("db")
		if option == nil || option.Hidden || slices.Contains(settingCommands, c.path()) {
			return
		}
		words := c.words()
		if !isRequired(option) {
			words = append(words, "--db", optionValues["db"])
		}
		c.want(c.run(nil, words...), exitFailure, "The database none at 127.0.0.1:1 does not answer: connection refused.")
	})
	got := executeWith(t.Context(), idle, nil, "account", "list", "--data", "/proc/none")
	if got.code != exitFailure || got.stderr != "Error: No server runs with the folder of data /proc/none. Start it (parsec backend run --data /proc/none), or correct --data, or PARSEC_DATA.\n" {
		t.Errorf("a folder that nobody serves: %+v", got)
	}
	const away = "The database none at 127.0.0.1:1 does not answer: connection refused. Start PostgreSQL there, or correct --db, or PARSEC_DB.\n"
	got = executeWith(t.Context(), idle, map[string]string{
		"PARSEC_DB": "postgresql://127.0.0.1:1/none", "PARSEC_MAXIMUM_DATABASE_CONNECTION_ATTEMPTS": "3", "PARSEC_PAUSE_BEFORE_RETRY_DATABASE_CONNECTION": "0.001",
	}, "backend", "migrate")
	if got.code != exitFailure || got.stderr != "The database is not ready yet: "+away+"Error: "+away {
		t.Errorf("a database that is waited for: %+v", got)
	}
}

// golden compares what a command says with a file, which PARSEC_TEST_GOLDEN=write writes.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if os.Getenv("PARSEC_TEST_GOLDEN") == "write" {
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: PARSEC_TEST_GOLDEN=write writes the files of new commands", err)
	}
	if string(want) != got {
		t.Errorf("%s is\n%s\nnow it says\n%s", path, want, got)
	}
}

var (
	changingPort     = regexp.MustCompile(`127\.0\.0\.1:[0-9]+`)
	changingHex      = regexp.MustCompile(`[0-9a-f]{32}`)
	changingDate     = regexp.MustCompile(`20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z`)
	changingAge      = regexp.MustCompile(`20[0-9]{2}-[0-9]{2}-[0-9]{2}( +)(?:now|[0-9]+ [a-z]+ ago)`)
	changingDay      = regexp.MustCompile(`20[0-9]{2}-[0-9]{2}-[0-9]{2}( +never)`)
	changingDatabase = regexp.MustCompile(`database \S+ at \S+`)
	changingToken    = regexp.MustCompile(`(p|rvk|token)=[A-Za-z0-9_-]+`)
)

// section is what a command line printed, without what differs each time.
func (c *commandTest) section(name string, words []string, got outcome) string {
	text := strings.Join(slices.Concat([]string{"$ parsec"}, words), " ") + "\n" + got.stdout
	if got.stderr != "" {
		text += "(standard error)\n" + got.stderr
	}
	text = strings.ReplaceAll(text, c.folder, "FOLDER")
	text = changingToken.ReplaceAllString(changingPort.ReplaceAllString(text, "127.0.0.1:PORT"), "$1=TOKEN")
	text = changingAge.ReplaceAllString(text, "DATE${1}AGE")
	text = changingDay.ReplaceAllString(text, "DATE$1")
	text = changingDate.ReplaceAllString(changingHex.ReplaceAllString(text, "HEX"), "DATE")
	return "== " + name + ", exit code " + string(rune('0'+got.code)) + "\n" + text + "\n"
}

// successes are command lines that do their work, on a server with the organization
// Golden. What bench and completion print is not the same each time, or long.
var successes = map[string]string{
	"parsec organization create":         "organization create New",
	"parsec organization status":         "organization status Golden",
	"parsec organization stats":          "organization stats Golden",
	"parsec organization update":         "organization update Golden --active-users-limit 7",
	"parsec organization list-users":     "organization list-users Golden",
	"parsec organization list":           "organization list",
	"parsec organization find-users":     "organization find-users ALICE@example.com",
	"parsec organization bootstrap-link": "organization bootstrap-link Waiting",
	"parsec organization expire":         "organization expire Waiting",
	"parsec organization unexpire":       "organization unexpire Waiting",
	"parsec organization delete":         "organization delete Gone --yes",
	"parsec organization freeze":         "organization freeze Golden --user-email alice@example.com",
	"parsec organization unfreeze":       "organization unfreeze Golden --user-email alice@example.com",
	"parsec organization server-stats":   "organization server-stats --format csv",
	"parsec organization bootstrap":      "organization bootstrap @link --human-label Bob --human-email bob@example.com --device-label laptop --output @folder/keys",
	"parsec backend config":              "backend config --dev",
	"parsec backend email preview":       "backend email preview @folder/preview",
	"parsec backend email templates":     "backend email templates @folder/templates",
	"parsec man":                         "man @folder",
	"parsec version":                     "version",
	"parsec sequester generate-service-certificate": "sequester generate-service-certificate --service-label Archive " +
		"--service-public-key @folder/public --authority-private-key @folder/private @folder/new.pem",
	"parsec sequester generate-service-revocation-certificate": "sequester generate-service-revocation-certificate --service-id " + someID +
		" --authority-private-key @folder/private @folder/revoked.pem",
}

// refusals are command lines that the server of successes refuses, or that are wrong.
var refusals = map[string][]string{
	"parsec backend send-test-mail": {"backend send-test-mail zoe@example.com --email-host 127.0.0.1 --email-port 1 --email-sender parsec@example.com --server-addr parsec3://parsec.example.com"},
	"parsec organization bootstrap": {
		"organization bootstrap @used --human-label Bob --human-email bob@example.com --device-label laptop",
		"organization bootstrap http://localhost:1 --human-label Bob --human-email bob@example.com --device-label laptop",
	},
	"parsec organization bootstrap-link": {"organization bootstrap-link Golden", "organization bootstrap-link Nope"},
	"parsec organization create":         {"organization create Golden", "organization create not/one", "organization create New --active-users-limit many"},
	"parsec organization delete":         {"organization delete Golden", "organization delete Nope"},
	"parsec organization expire":         {"organization expire Nope"},
	"parsec organization find-users":     {"organization find-users nobody@example.com"},
	"parsec organization freeze":         {"organization freeze Golden", "organization freeze Golden --user-email nobody@example.com"},
	"parsec organization list-users":     {"organization list-users Nope"},
	"parsec organization reset-totp":     {"organization reset-totp Golden --user-email alice@example.com"},
	"parsec organization server-stats":   {"organization server-stats --at yesterday"},
	"parsec organization stats":          {"organization stats Nope", "organization stats Golden --at 2000-01-31", "organization stats Golden --json --websocket"},
	"parsec organization status":         {"organization status Nope", "organization status Golden --websocket --json"},
	"parsec organization unexpire":       {"organization unexpire Nope"},
	"parsec organization unfreeze":       {"organization unfreeze Golden --user-email nobody@example.com"},
	"parsec organization update": {
		"organization update Golden", "organization update Nope --active-users-limit 7",
		"organization update Golden --minimum-archiving-period 1.5d", "organization update Golden --tos en:here", "organization update Golden --tos en:https://example.com --no-tos",
	},
}

// TestGolden has a file for each command: its help, what it says with nothing, with an
// option that it has not, without server, with a wrong token, without database, and when
// it has done its work (successes).
func TestGolden(t *testing.T) {
	server := testkit.StartGenerations(t, testkit.GenerationsOptions{Server: patient()})
	beside := map[string]string{"PARSEC_ADDR": server.Address.String(), "PARSEC_ADMINISTRATION_TOKEN": testkit.AdministrationToken}
	s := &shell{t, server.Address, beside}
	used := s.create("Golden")
	s.succeed(bootstrapArguments(used)...)
	links := strings.NewReplacer("@used", used, "@link", s.create("Linked"))
	s.create("Waiting")
	s.create("Gone")
	s.succeed("organization", "expire", "Gone")
	var seen []string
	eachCommand(t, func(c *commandTest) {
		if c.command.Hidden || strings.Count(c.path(), "backend realm")+strings.Count(c.path(), "backend sequester")+strings.Count(c.path(), "backend human") > 0 {
			return // another name of one that is here
		}
		name := strings.Fields(c.path())[1:]
		text := ""
		add := func(title string, variables map[string]string, words ...string) {
			words = slices.Clone(words)
			got := c.run(variables, words...)
			text += c.section(title, words, got)
		}
		add("help", nil, append(slices.Clone(name), "--help")...)
		add("nothing given", nil, name...)
		add("an option that is not there", nil, append(slices.Clone(name), "--halp")...) //nolint:misspell // It is to be wrong.
		if allFlags(c.command).Lookup(addrOption) != nil {
			add("no server", nil, append(c.words(), "--addr", "parsec://127.0.0.1:1?no_ssl=true")...)
			add("wrong token", beside, append(c.words(tokenOption), "--administration-token", "wrong")...)
		}
		if option := allFlags(c.command).Lookup("db"); option != nil && !option.Hidden && !slices.Contains(settingCommands, c.path()) {
			add("no database", nil, c.words()...)
		}
		variables := beside
		if strings.HasPrefix(c.path(), "parsec backend") {
			variables = nil
		}
		for _, line := range refusals[c.path()] {
			add("refused", variables, strings.Fields(links.Replace(line))...)
		}
		if line, works := successes[c.path()]; works {
			add("success", variables, strings.Fields(links.Replace(line))...)
		}
		file := strings.Join(name, "-") + ".golden"
		seen = append(seen, file)
		golden(c.t, filepath.Join("testdata", "commands", file), text)
	})
	files, err := filepath.Glob("testdata/commands/*.golden")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !slices.Contains(seen, filepath.Base(file)) {
			t.Errorf("%s is of no command", file)
		}
	}
}

// TestExamples has an example in the help of each command, that the command takes.
func TestExamples(t *testing.T) {
	t.Parallel()
	var paths []string
	eachCommand(t, func(c *commandTest) {
		paths = append(paths, c.path())
		if c.command.Hidden || strings.HasPrefix(c.path(), "parsec core ") {
			return
		}
		shown := examples[c.path()]
		if len(shown) == 0 && !strings.HasPrefix(c.path(), "parsec backend realm") && !strings.HasPrefix(c.path(), "parsec backend sequester") && c.path() != "parsec backend human-accesses" {
			t.Errorf("%s has no example: add one to examples.go", c.path())
		}
		for _, example := range shown {
			line := strings.Fields(example)
			found, _, err := c.command.Root().Find(line[1:])
			if err != nil || found != c.command {
				t.Errorf("%s: %v", example, err)
			}
			for _, word := range line {
				option, _, _ := strings.Cut(strings.TrimPrefix(word, "--"), "=")
				if strings.HasPrefix(word, "--") && c.command.Flag(option) == nil {
					t.Errorf("%s: there is no %s", example, word)
				}
			}
		}
	})
	for path := range maps.Keys(examples) {
		if !slices.Contains(paths, path) {
			t.Errorf("an example of %s, which is no command", path)
		}
	}
}

// TestNearestNames answers typing errors.
func TestNearestNames(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"organisation":                                           "No such command 'organisation'. Did you mean organization?",
		"organization creat":                                     "No such command 'creat'. Did you mean create?",
		"organization create MyOrg --active":                     "No such option: --active. Did you mean --active-users-limit?",
		"organization create MyOrg --active-user-limit=1":        "No such option: --active-user-limit. Did you mean --active-users-limit?",
		"organization server-stats --format=jsn":                 "'jsn' is not one of 'json', 'csv'. Did you mean json?",
		"backend config --dev --log-level=warn":                  "'warn' is not one of 'DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL'. Did you mean WARNING?",
		"backend config --dev --account-config=enabled":          "Did you mean ENABLED_WITH_VAULT?",
		"organization boot":                                      "No such command 'boot'. Did you mean bootstrap?",
		"backend config --dev --log-format=jsno":                 "Did you mean JSON?",
		"backend init":                                           "`parsec backend migrate` does that here.",
		"core gui":                                               "That is of the client, which this program is not.",
		"organization create MyOrg --addr http://localhost:6777": "must start with `parsec://`; perhaps parsec://localhost:6777?no_ssl=true",
	} {
		got := executeWith(t.Context(), idle, map[string]string{"PARSEC_ADMINISTRATION_TOKEN": "x"}, strings.Fields(line)...)
		if got.code != exitUsage || !strings.Contains(got.stderr, want) || got.stdout != "" {
			t.Errorf("%s: %+v, want %q", line, got, want)
		}
	}
}

// TestOfficialNames runs the names that old scripts use, from a table.
func TestOfficialNames(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	s.succeed(bootstrapArguments(s.create("Old"))...)
	address, token := s.address.String(), testkit.AdministrationToken
	for _, row := range []struct{ line, want string }{
		{"core create_organization New -B " + address + " -T " + token, "Bootstrap organization url: parsec://"},
		{"core create_organization Dated --addr " + address + " --administration-token " + token + " -E 2990-01-02", "Bootstrap organization url: parsec://"},
		{"core status_organization Old -B " + address + " -T " + token, "is_bootstrapped: true\n"},
		{"core stats_organization Old -B " + address + " -T " + token, "active_users: 1\n"},
		{"core stats_server -B " + address + " -T " + token + " --format csv", "organization_id,data_size"},
		{"core list_users Old -B " + address + " -T " + token, "Alice <alice@example.com>\n"},
		{"core freeze_user Old --user-email alice@example.com", "(frozen)\n"},
		{"core freeze_user Old --user-email alice@example.com --unfreeze", "Alice <alice@example.com>\n"},
		{"core freeze_user Old --user-email alice@example.com --freeze", "(frozen)\n"},
	} {
		got := executeWith(t.Context(), idle, s.variables, strings.Fields(row.line)...)
		if got.code != 0 || !strings.Contains(got.stdout, row.want) || got.stderr != "" {
			t.Errorf("%s: %+v", row.line, got)
		}
	}
	if stdout := s.succeed("organization", "status", "Dated", "--websocket"); !strings.Contains(stdout, "expiration_date: 2990-01-02") {
		t.Errorf("the date is not kept: %s", stdout)
	}
	for path, want := range renamedCommands {
		got := executeWith(t.Context(), idle, nil, strings.Fields(path)...)
		if got.code != exitUsage || !strings.Contains(got.stderr, want) {
			t.Errorf("%s: %+v", path, got)
		}
	}
}

// TestServerBeside has commands find a server by its settings.
func TestServerBeside(t *testing.T) {
	t.Parallel()
	server := testkit.StartGenerations(t, testkit.GenerationsOptions{})
	host, port, _ := strings.Cut(hostPort(server.Address), ":")
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(testkit.AdministrationToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		variables map[string]string
		link      string
	}{
		"variables": {map[string]string{
			"PARSEC_HOST": "0.0.0.0", "PARSEC_PORT": port, "PARSEC_ADMINISTRATION_TOKEN": testkit.AdministrationToken,
			"PARSEC_BACKEND_ADDR": "parsec://parsec.example.com",
		}, "parsec://parsec.example.com/"},
		"file of the token": {map[string]string{
			"PARSEC_HOST": host, "PARSEC_PORT": port, "PARSEC_ADMINISTRATION_TOKEN_FILE": file,
		}, "parsec://127.0.0.1:" + port + "/"},
		"options of the server": {map[string]string{
			"PARSEC_CMD_ARGS": "backend run --port $PORT --log-level=INFO -l DEBUG --administration-token=" + testkit.AdministrationToken + " --server-addr parsec3://parsec.example.com", "PORT": port,
		}, "parsec://parsec.example.com/"},
		"port of the platform": {map[string]string{
			"PORT": port, "PARSEC_ADMINISTRATION_TOKEN": testkit.AdministrationToken, "DATABASE_URL": "postgresql://db/parsec",
		}, "parsec://127.0.0.1:" + port + "/"},
	} {
		got := executeWith(t.Context(), idle, row.variables, "organization", "create", "Beside")
		if got.code != 0 || got.stderr != "" || !strings.HasPrefix(got.stdout, "Bootstrap organization url: "+row.link) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	got := executeWith(t.Context(), idle, map[string]string{"PARSEC_CMD_ARGS": "--dev --port=1"}, "organization", "status", "Beside")
	if got.code != exitFailure || !strings.Contains(got.stderr, "No server answers at 127.0.0.1:1") {
		t.Errorf("with the token of --dev: %+v", got)
	}
	got = executeWith(t.Context(), idle, map[string]string{"PARSEC_CMD_ARGS": "--addr=" + server.Address.String() + " --what"}, "organization", "status", "Beside")
	if got.code != exitUsage || !strings.Contains(got.stderr, "No such option: --what") {
		t.Errorf("arguments that are not of the server: %+v", got)
	}
}

// TestArgumentsOfServer has PARSEC_CMD_ARGS that are meant for the server leave help, the
// version and typing errors as they are, and complete what was begun.
func TestArgumentsOfServer(t *testing.T) {
	t.Parallel()
	for _, arguments := range []string{"--db=MOCKED --port 7000", "backend run --dev --port=7000", "run --dev"} {
		for line, want := range map[string]struct {
			code int
			text string
		}{
			"--help":               {0, "Usage: parsec COMMAND [OPTIONS]\n"},
			"--version":            {0, "parsec, version "},
			"organization":         {0, "Usage: parsec organization COMMAND [OPTIONS]\n"},
			"backend --help":       {0, "Usage: parsec backend COMMAND [OPTIONS]\n"},
			"help organization":    {0, "Usage: parsec organization COMMAND [OPTIONS]\n"},
			"organization lst":     {exitUsage, "No such command 'lst'. Did you mean list?"},
			"core gui":             {exitUsage, "That is of the client, which this program is not."},
			"organization status ": {exitUsage, "Missing argument 'ORGANIZATION'."},
		} {
			got := executeWith(t.Context(), idle, map[string]string{"PARSEC_CMD_ARGS": arguments}, strings.Fields(line)...)
			if got.code != want.code || got.settings != nil || !strings.Contains(got.stdout+got.stderr, want.text) {
				t.Errorf("%s, with %s: %+v", line, arguments, got)
			}
		}
	}
	for line, arguments := range map[string]string{"": "backend run --dev --port 7000", "backend": "run --dev --port 7000"} {
		got := executeWith(t.Context(), idle, map[string]string{"PARSEC_CMD_ARGS": arguments}, strings.Fields(line)...)
		if got.code != 0 || got.settings == nil || got.settings.Port != 7000 {
			t.Errorf("%q, with %s: %+v", line, arguments, got)
		}
	}
	got := executeWith(t.Context(), idle, map[string]string{"PARSEC_CMD_ARGS": "--db=MOCKED"})
	if got.code != 0 || !strings.HasPrefix(got.stdout, "Usage: parsec COMMAND") {
		t.Errorf("no command at all: %+v", got)
	}
}

// TestPlatformVariables serve when nothing else is set.
func TestPlatformVariables(t *testing.T) {
	t.Parallel()
	platform := map[string]string{"DATABASE_URL": "postgresql://u:p@db/parsec", "PORT": "7005"}
	for name, row := range map[string]struct {
		more     map[string]string
		args     []string
		db, port string
	}{
		"alone":     {nil, nil, "postgresql://u:p@db/parsec", "7005"},
		"variables": {map[string]string{"PARSEC_DB": "postgresql://other/db", "PARSEC_PORT": "7006"}, nil, "postgresql://other/db", "7006"},
		"--dev":     {nil, []string{"--dev"}, config.Mocked, "7005"},
		"options":   {nil, []string{"--db=postgresql://typed/db", "--port=7007"}, "postgresql://typed/db", "7007"},
		"foreign":   {map[string]string{"PORT": "tcp://10.0.0.1:80", "DATABASE_URL": "mysql://db"}, []string{"--db=MOCKED"}, config.Mocked, "6777"},
	} {
		variables := maps.Clone(platform)
		maps.Copy(variables, row.more)
		args := append([]string{"backend", "run", "--blockstore=MOCKED", "--administration-token=hunter2/Qx7rTz0bLmPa"}, row.args...)
		got := executeWith(t.Context(), idle, variables, args...)
		if got.code != 0 || got.settings.Database.DSN.Reveal() != row.db || strconv.Itoa(got.settings.Port) != row.port {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
