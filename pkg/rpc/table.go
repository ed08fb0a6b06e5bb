package rpc

import (
	"context"

	"parsec-server/pkg/wire"
)

// Validator is a request with bounds that its types do not express.
type Validator interface {
	Validate() error
}

// Sized is a reply that may be long.
type Sized interface {
	// Size is at least the length of its fields in a message, in bytes, but for
	// some 200.
	Size() int
}

// Call is a request with valid fields, and who sends it.
type Call interface {
	// Run has the rule of the command answer. It may be called again.
	Run(ctx context.Context) (reply any, err error)
}

// Entry is a command bound to its rule, for callers of one type.
type Entry[Caller any] struct {
	*Form
	// Decode decodes a message that names the command. The call aliases the
	// message. An error says which fields are wrong.
	Decode func(message []byte, caller Caller) (Call, error)
}

// Binding returns the entry of a command in a table whose messages have their
// dates in a profile.
type Binding[Caller any] func(dates *wire.Profile) Entry[Caller]

// Bind has rule answer command.
func Bind[Caller, Request, Reply any](command *Command[Request, Reply], rule func(context.Context, Caller, *Request) (*Reply, error)) Binding[Caller] {
	return BindEncoded(command, rule)
}

// BindEncoded is Bind for a rule whose result is not the reply itself: the
// server knows how it is sent.
func BindEncoded[Caller, Request, Reply, Result any](command *Command[Request, Reply], rule func(context.Context, Caller, *Request) (Result, error)) Binding[Caller] {
	return func(dates *wire.Profile) Entry[Caller] {
		return Entry[Caller]{command.Form, func(message []byte, caller Caller) (Call, error) {
			decoded := &call[Caller, Request, Result]{rule: rule, caller: caller}
			command.setDefaults(&decoded.Request)
			if err := dates.Unmarshal(message, &decoded.Request); err != nil {
				return nil, err
			}
			if validator, ok := any(&decoded.Request).(Validator); ok {
				if err := validator.Validate(); err != nil {
					return nil, err
				}
			}
			return decoded, nil
		}}
	}
}

// call is the only memory that decoding allocates.
type call[Caller, Request, Result any] struct {
	rule    func(context.Context, Caller, *Request) (Result, error)
	caller  Caller
	Request Request
}

// Run implements Call.
func (c *call[Caller, Request, Result]) Run(ctx context.Context) (any, error) {
	result, err := c.rule(ctx, c.caller, &c.Request)
	if err != nil {
		return nil, err
	}
	return result, nil
}

// Through returns the bindings for callers from whom narrow makes those that the
// bindings are for.
func Through[Wide, Narrow any](narrow func(Wide) Narrow, bindings []Binding[Narrow]) []Binding[Wide] {
	wide := make([]Binding[Wide], len(bindings))
	for i, binding := range bindings {
		wide[i] = func(dates *wire.Profile) Entry[Wide] {
			entry := binding(dates)
			return Entry[Wide]{entry.Form, func(message []byte, caller Wide) (Call, error) {
				return entry.Decode(message, narrow(caller))
			}}
		}
	}
	return wide
}

// Table holds what a server answers to callers of one type, by name.
type Table[Caller any] map[string][]*Entry[Caller]

// NewTable returns the table of bindings for messages that write dates as the
// profile says.
func NewTable[Caller any](dates *wire.Profile, bindings ...Binding[Caller]) Table[Caller] {
	table := Table[Caller]{}
	for _, binding := range bindings {
		entry := binding(dates)
		table[entry.Name] = append(table[entry.Name], &entry)
	}
	return table
}

// Find returns the form of the command name that an API major has.
func (t Table[Caller]) Find(name string, major uint32) (entry *Entry[Caller], found bool) {
	for _, entry := range t[name] {
		if entry.Majors.Has(major) {
			return entry, true
		}
	}
	return nil, false
}
