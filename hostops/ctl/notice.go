package ctl

// Notice is one thing in a spec that its author should know: the game would take it
// without a word and do something else than what is written there.
type Notice struct {
	// Field of the spec: hostname, arguments, config or overlays.
	Field string `json:"field"`
	// Lines of the config, or numbers of arguments, from 1; none for the whole field.
	Lines []int `json:"lines,omitempty"`
	// Text is a clause for people, without a capital letter and without a full stop.
	Text string `json:"text"`
	// Refused says that the host takes no such spec.
	Refused bool `json:"refused,omitempty"`
}
