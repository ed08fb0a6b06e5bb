package parsec2

// RoundTrip sends a request of any form.
var RoundTrip = roundTrip
