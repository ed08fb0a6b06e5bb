//go:build leave_out_lock && !without_postgresql

package postgres

import (
	"strings"
	"testing"

	"parsec-server/pkg/parsec3/rules"
)

// TestLeaveOut has each lock left out, alone.
func TestLeaveOut(t *testing.T) {
	defer func(before string) { leftOut = before }(leftOut)
	all := map[rules.Lock]rules.Scope{}
	for _, how := range []rules.Lock{rules.Shared, rules.Exclusive} {
		all[how] = rules.Scope{Common: how, RealmLock: how, Sequester: how, Shamir: how}
	}
	locks := func() (names []string) {
		for how, scope := range all {
			for _, read := range Reads(scope) {
				if strings.HasSuffix(read.SQL, forShare) || strings.HasSuffix(read.SQL, forUpdate) {
					names = append(names, map[rules.Lock]string{rules.Shared: "s", rules.Exclusive: "x"}[how])
				}
			}
		}
		return names
	}
	leftOut = ""
	const every = 8
	if got := len(locks()); got != every {
		t.Fatalf("%d locks", got)
	}
	for _, name := range []string{"C:s", "C:x", "R:s", "R:x", "Q:s", "Q:x", "S:s", "S:x"} {
		leftOut = name
		left := strings.Join(locks(), "")
		if len(left) != every-1 || strings.Count(left, name[2:]) != every/2-1 {
			t.Errorf("without %s: %s", name, left)
		}
	}
}
