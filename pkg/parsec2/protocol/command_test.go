package protocol_test

import (
	"os"
	"regexp"
	"testing"

	"parsec-server/internal/testkit/commands"
	"parsec-server/pkg/rpc"
)

// Every command that is defined is listed, once.
func TestCommandsListsEveryForm(t *testing.T) {
	source, err := os.ReadFile("command.go")
	if err != nil {
		t.Fatal(err)
	}
	defined := len(regexp.MustCompile(`rpc\.Define\[`).FindAll(source, -1))
	listed := map[*rpc.Form]bool{}
	for _, form := range commands.All() {
		if listed[form] {
			t.Errorf("%s is listed twice", form.Name)
		}
		listed[form] = true
	}
	if len(listed) != defined {
		t.Errorf("%d of %d forms are listed", len(listed), defined)
	}
}
