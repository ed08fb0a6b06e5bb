package config

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/kelseyhightower/envconfig"
)

const (
	variablePrefix = "PARSEC_"
	fileSuffix     = "_FILE"
)

// Environment is what Load and the command line need of the variables of a
// process.
type Environment struct {
	// Variables are the texts of those that the table of settings knows, with
	// their _FILE forms and PARSEC_CMD_ARGS. Empty is unset.
	Variables map[string]string
	// Names are those of every PARSEC_* variable, known or not, but for
	// ServiceLinks.
	Names []string
	// ServiceLinks are the PARSEC_* variables by which Kubernetes announces
	// services, in alphabetical order. They are no settings.
	ServiceLinks []string
	// Folder has the settings of a server that systemd runs here, "" for none
	// (InFolder).
	Folder string
	// Lookup finds any variable, for the references in PARSEC_CMD_ARGS.
	Lookup func(name string) (value string, found bool)
}

// serviceLink finds the names of the variables that Kubernetes makes of a service
// whose name begins with parsec; those of the port may be settings, too.
var (
	serviceLink     = regexp.MustCompile(`^PARSEC_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_PROTO|_PORT|_ADDR)?)$`)
	serviceLinkPort = regexp.MustCompile(`^PARSEC_(\w+_)?PORT$`)
	serviceAddress  = regexp.MustCompile(`^(tcp|udp|sctp)://`)
)

func isServiceLink(name, value string) bool {
	return serviceLink.MatchString(name) || serviceLinkPort.MatchString(name) && serviceAddress.MatchString(value)
}

// ReadEnvironment reads the environment of this process. Its values are clean.
func ReadEnvironment() (Environment, error) {
	// The struct that envconfig fills is made from the table. Its fields are
	// text: a variable that the command line overrides is never parsed, so
	// it cannot be wrong.
	names := knownVariables()
	fields := make([]reflect.StructField, len(names))
	for i, name := range names {
		fields[i] = reflect.StructField{
			Name: "Variable" + strconv.Itoa(i),
			Type: reflect.TypeFor[string](),
			Tag:  reflect.StructTag(fmt.Sprintf("envconfig:%q", name)),
		}
	}
	values := reflect.New(reflect.StructOf(fields))
	if err := envconfig.Process("", values.Interface()); err != nil {
		return Environment{}, fmt.Errorf("read the environment: %w", err)
	}
	environment := Environment{Variables: make(map[string]string), Folder: Folder, Lookup: lookupClean}
	for i, name := range names {
		if text := clean(values.Elem().Field(i).String()); text != "" && !isServiceLink(name, text) {
			environment.Variables[name] = text
		}
	}
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		switch {
		case !strings.HasPrefix(name, variablePrefix):
		case isServiceLink(name, value):
			environment.ServiceLinks = append(environment.ServiceLinks, name)
		default:
			environment.Names = append(environment.Names, name)
		}
	}
	slices.Sort(environment.ServiceLinks)
	return environment, nil
}

func lookupClean(name string) (string, bool) {
	value, found := os.LookupEnv(name)
	return clean(value), found
}

// Arguments returns the arguments that PARSEC_CMD_ARGS adds to the command
// line.
func (e Environment) Arguments() []string {
	return JoinWords(expandArguments(e.Variables[ArgumentsVariable], e.Lookup))
}

// The variables of the commands that work with a server: it does not read them,
// and does not warn of them either.
const (
	// AddressVariable is the server's address (docs/protocol/types.md), as
	// --addr.
	AddressVariable = "PARSEC_ADDR"
	// CopyTargetVariable sets --to of `blockstore copy` without showing its
	// secrets in lists of processes.
	CopyTargetVariable = "PARSEC_BLOCKSTORE_TO"
	// ImportSourceVariable, or a file that it names with _FILE, sets --from of `import`.
	ImportSourceVariable = "PARSEC_IMPORT_FROM"
)

// unknownVariables returns a warning for each PARSEC_* variable that nothing
// reads, in alphabetical order.
func (e Environment) unknownVariables() []string {
	known := knownVariables()
	var warnings []string
	for _, name := range slices.Sorted(slices.Values(e.Names)) {
		if slices.Contains(known, name) {
			continue
		}
		warning := "unknown variable " + name + " is ignored"
		if nearest, found := nearestVariable(name, known); found {
			warning += ", did you mean " + nearest + "?"
		}
		warnings = append(warnings, warning)
	}
	return warnings
}

// knownVariables returns every variable that is read, in the order of the
// table.
func knownVariables() []string {
	names := []string{ArgumentsVariable, AddressVariable, CopyTargetVariable, ImportSourceVariable, ImportSourceVariable + fileSuffix}
	for _, setting := range settings {
		names = append(names, setting.AllVariables()...)
	}
	return names
}

// nearestVariable is Nearest, and the variable itself for the file of one that is no
// secret.
func nearestVariable(name string, names []string) (nearest string, found bool) {
	if variable, isFile := strings.CutSuffix(name, fileSuffix); isFile && slices.Contains(names, variable) {
		return variable, true
	}
	return nearestWithin(name, names, len(strings.TrimPrefix(name, variablePrefix)))
}

// Nearest returns the first of the names with the least edit distance to name, if it is
// near enough for a typing error, or else the first one that begins as name does: WARNING
// for WARN.
func Nearest(name string, names []string) (nearest string, found bool) {
	if nearest, found = nearestWithin(name, names, len(name)); found || len(name) < leastBeginning {
		return nearest, found
	}
	i := slices.IndexFunc(names, func(candidate string) bool { return strings.HasPrefix(candidate, name) })
	if i < 0 {
		return "", false
	}
	return names[i], true
}

// leastBeginning is the least length of what is taken for the beginning of a name.
const leastBeginning = 2

func nearestWithin(name string, names []string, length int) (nearest string, found bool) {
	least := max(2, length/3) + 1
	for _, candidate := range names {
		if distance := editDistance(name, candidate); distance < least && distance < len(candidate) {
			nearest, least, found = candidate, distance, true
		}
	}
	return nearest, found
}

// editDistance counts the bytes to insert, delete or replace.
func editDistance(from, to string) int {
	row := make([]int, len(to)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(from) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(to) {
			replaced := diagonal
			if from[i] != to[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(to)]
}
