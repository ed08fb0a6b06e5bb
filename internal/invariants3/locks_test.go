//go:build !without_postgresql

package invariants3_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/parsec3/rules"
)

// proofs name for each lock of the store the test that fails without it.
var proofs = []struct {
	lock, test string
	check      func(*world)
}{
	{"founding", "TestInvariant01ConcurrentBootstraps", concurrentBootstraps},
	{"C:x", "TestInvariant09AnAdministratorRemains", anAdministratorRemains},
	{"C:s", "TestInvariant07NothingAfterRevocation", nothingAfterRevocation},
	{"R:x", "TestInvariant21OwnersAgainstEachOther", ownersAgainstEachOther},
	{"R:s", "TestInvariant24WritesAndRemovals", writesAndRemovals},
	{"Q:x", "TestInvariant48ServicesAndRotations", servicesAndRotations},
	{"Q:s", "TestInvariant48ServicesAndRotations", servicesAndRotations},
	{"S:x", "TestInvariant44ShamirDatesIncrease", shamirDatesIncrease},
	{"S:s", "TestInvariant12RevocationIsLast", revocationIsLast},
	{"E:x", "TestEnrollmentsAreBounded", enrollmentsAreBounded},
	{"I:x", "TestOneInvitation", oneInvitation},
	{"invitation", "TestInvitationsEndOnce", invitationsEndOnce},
	{"totp", "TestTOTPSecretIsOne", totpSecretIsOne},
	{"opaque key", "TestTOTPGuessesCount", totpGuessesCount},
	{"block", "TestInvariant41OneBlockWins", oneBlockWins},
}

// tries bounds how often a test is run that must fail.
const tries = 5

// TestLocksAreNeeded runs the test of each lock on two processes that do without it.
func TestLocksAreNeeded(t *testing.T) {
	program := build(testkit.BuildParsecWithoutLock)
	for _, proof := range proofs {
		t.Run(proof.lock, func(t *testing.T) {
			on := homeIn(t, testkit.NewPostgres(t, testkit.Unsound), program, testkit.LeftOutLock+"="+proof.lock)
			if proof.lock == "Q:x" { // which administrators take
				on.rules = newRules(withoutSequesterLock{on.store}, nil, on.bus)
			}
			for range tries {
				if why := fails(t, on, proof.check); why != "" {
					t.Log(why)
					return
				}
			}
			t.Errorf("%s does not fail without the lock %s", proof.test, proof.lock)
		})
	}
}

// withoutSequesterLock leaves out Q:x.
type withoutSequesterLock struct{ rules.Store }

func (s withoutSequesterLock) Update(ctx context.Context, scope rules.Scope, rule func(rules.Tx) error) error {
	if scope.Sequester == rules.Exclusive {
		scope.Sequester = rules.Unlocked
	}
	return s.Store.Update(ctx, scope, rule)
}

// witness is a test whose failure is wanted.
type witness struct {
	testing.TB

	mu       sync.Mutex
	failures []string
}

func (f *witness) Error(args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failures = append(f.failures, fmt.Sprint(args...))
}

func (f *witness) Errorf(format string, args ...any) { f.Error(fmt.Sprintf(format, args...)) }

func (f *witness) Fatal(args ...any) {
	f.Error(args...)
	runtime.Goexit()
}

func (f *witness) Fatalf(format string, args ...any) { f.Fatal(fmt.Sprintf(format, args...)) }

func (f *witness) Failed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.failures) > 0
}

// fails returns how the check of an invariant fails, "" if it passes. It must fail by
// what is accepted, not by a server that is out of order.
func fails(t *testing.T, on *home, check func(*world)) string {
	t.Helper()
	seen := &witness{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		check(newWorld(seen, on))
	}()
	<-done
	why := strings.Join(seen.failures, "; ")
	if strings.Contains(why, "failure:") || strings.Contains(why, "HTTP 5") {
		t.Fatal(why)
	}
	return why
}
