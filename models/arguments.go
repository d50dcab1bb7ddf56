package models

import (
	"fmt"
	"strings"
)

// SplitArguments reads arguments as a person types them: words between blanks
// and line breaks, and double quotes keep what is between them together. There
// is no escape and no expansion, so what is typed is what the game gets. An
// unclosed quote and an empty argument are an InvalidError of "arguments".
func SplitArguments(text string) ([]string, error) {
	var (
		args   []string
		word   strings.Builder
		inWord bool
		quote  = -1 // where the open one stands, counted in characters
		at     int
	)
	flush := func() error {
		if inWord && word.Len() == 0 {
			return Invalid("arguments", fmt.Sprintf("Argument %d is empty. Leave it out, or write something between the quotation marks.", len(args)+1))
		}
		if inWord {
			args = append(args, word.String())
		}
		word.Reset()
		inWord = false
		return nil
	}
	for _, r := range text {
		at++
		switch {
		case r == '"' && quote >= 0:
			quote = -1
		case r == '"':
			quote, inWord = at, true
		case quote < 0 && (r == ' ' || r == '\t' || r == '\n' || r == '\r'):
			if err := flush(); err != nil {
				return nil, err
			}
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if quote >= 0 {
		return nil, Invalid("arguments", fmt.Sprintf("The quotation mark at character %d is never closed. Close it or take it out.", quote))
	}
	err := flush()
	return args, err
}

// JoinArguments writes arguments so that SplitArguments reads the same again. An
// argument that contains a quotation mark cannot be written and loses it; none
// that SplitArguments made does.
func JoinArguments(args []string) string {
	words := make([]string, len(args))
	for i, a := range args {
		a = strings.ReplaceAll(a, `"`, "")
		if a == "" || strings.ContainsAny(a, " \t\r\n") {
			a = `"` + a + `"`
		}
		words[i] = a
	}
	return strings.Join(words, " ")
}
