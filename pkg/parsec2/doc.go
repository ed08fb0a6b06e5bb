// Package parsec2 is the wing of Parsec 1 and 2, which speak API 1 to 3. It has
// no code of its own; its rooms are the packages below it:
//
//   - protocol: requests, replies, events, and the table of commands;
//   - certificate: signed payloads;
//   - rules: what each command does, and the interfaces of the stores;
//   - postgres and memory: the state; storetest: the suite that both pass;
//   - notice: what is told of each event.
//
// pkg/server/parsec2 serves it, and pkg/client/parsec2 calls it.
//
// A family of commands has one name in every room.
package parsec2
