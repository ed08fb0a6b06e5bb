package protocol

import "parsec-server/pkg/parsec"

// TOSGetRequest has no field.
type TOSGetRequest struct{}

// TOSGetReply has where the terms of service are, by language.
type TOSGetReply struct {
	PerLocaleURLs map[string]string `wire:"per_locale_urls"`
	UpdatedOn     parsec.DateTime   `wire:"updated_on"`
}

// TOSAcceptRequest accepts the terms of that date.
type TOSAcceptRequest struct {
	TOSUpdatedOn parsec.DateTime `wire:"tos_updated_on"`
}

// TOSAcceptReply has no field.
type TOSAcceptReply struct{}
