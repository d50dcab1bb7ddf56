package webui

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"

	"github.com/gin-gonic/gin"

	"left4me/hostops/ctl"
	"left4me/models"
)

// argumentsField is the launch arguments of a form: as a person types them, and what
// becomes of them.
type argumentsField struct {
	Blueprint string // "" for one that is not made yet
	Arguments string
	Argv      argvView
	Problem   string
}

func (argumentsField) template() string { return "arguments_field.html" }

// Known are the arguments that people commonly give.
func (argumentsField) Known() []ctl.Option { return ctl.Options() }

// argvView is the list of arguments: each option with what stands behind it, in
// words, and with what the host says of it.
type argvView struct {
	Rows    []argumentRow
	Notices []ctl.Notice // of no single row
	Problem string
}

func (argvView) template() string { return "argv.html" }

// argumentRow is an option and its values. A value that stands before every option
// has a row without one.
type argumentRow struct {
	Option  string
	Values  []string
	Words   ctl.Option
	Notices []ctl.Notice
	first   int // its first argument's number, from 1
}

// OptionText, ValueText and Text are its parts as a person types them.
func (r argumentRow) OptionText() string {
	if r.Option == "" {
		return ""
	}
	return models.JoinArguments([]string{r.Option})
}

func (r argumentRow) ValueText() string { return models.JoinArguments(r.Values) }

func (r argumentRow) Text() string {
	if r.Option == "" {
		return r.ValueText()
	}
	return models.JoinArguments(append([]string{r.Option}, r.Values...))
}

// Name is what the row is called in labels.
func (r argumentRow) Name() string {
	if r.Option == "" {
		return "the first value"
	}
	return r.OptionText()
}

// option is an argument that the engine takes for a name: a sign and no number.
var option = regexp.MustCompile(`^[+-][^0-9.\s]`)

// argumentRows puts values to the options that they follow.
func argumentRows(argv []string) []argumentRow {
	var rows []argumentRow
	for i, arg := range argv {
		switch {
		case option.MatchString(arg):
			rows = append(rows, argumentRow{Option: arg, Words: ctl.OptionNamed(arg), first: i + 1})
		case len(rows) == 0:
			rows = append(rows, argumentRow{Values: []string{arg}, first: 1})
		default:
			last := &rows[len(rows)-1]
			last.Values = append(last.Values, arg)
		}
	}
	return rows
}

// argvView reads text and says what comes of it on a server with b's overlays; b may
// be nil.
func (s *Server) argvView(b *models.Blueprint, text string) argvView {
	argv, err := models.SplitArguments(text)
	if err == nil && len(argv) > models.MaxArguments {
		err = models.Invalid("arguments", fmt.Sprintf("There are %d arguments; at most %d can be used.", len(argv), models.MaxArguments))
	}
	if err != nil {
		return argvView{Problem: err.Error()}
	}
	return s.adviseArguments(argumentRows(argv), s.advice(b, argv, ""))
}

// adviseArguments gives each row the notices about its arguments.
func (s *Server) adviseArguments(rows []argumentRow, notices []ctl.Notice) argvView {
	v := argvView{Rows: rows}
	for _, n := range notices {
		if n.Field != "arguments" {
			continue
		}
		i := slices.IndexFunc(rows, func(r argumentRow) bool {
			return slices.ContainsFunc(n.Lines, func(at int) bool { return at >= r.first && at <= r.first+len(r.Values) })
		})
		if i < 0 {
			v.Notices = append(v.Notices, n)
		} else {
			rows[i].Notices = append(rows[i].Notices, n)
		}
	}
	return v
}

// advice is what the host would say of arguments and a config on top of b's overlays.
// A site that does not see the host's files says nothing.
func (s *Server) advice(b *models.Blueprint, argv []string, config string) []ctl.Notice {
	if s.Content == nil {
		return nil
	}
	spec := specOfDraft(b)
	spec.Arguments, spec.Config = argv, config
	return s.Content.Advice(spec)
}

// previewArguments changes nothing; it is a POST because arguments may be long.
// With a map it answers with the arguments that play it.
func (s *Server) previewArguments(c *gin.Context) error {
	var b *models.Blueprint
	if id := c.PostForm("blueprint"); id != "" {
		var err error
		if b, err = models.BlueprintByID(c.Request.Context(), s.DB, user(c).ID, id); err != nil {
			return err
		}
	}
	text := c.PostForm("arguments")
	first, chosen := c.GetPostForm("map")
	if !chosen {
		return s.show(c, http.StatusOK, s.argvView(b, text))
	}
	f := argumentsField{Arguments: text}
	if b != nil {
		f.Blueprint = b.ID
	}
	argv, err := models.SplitArguments(text)
	if err != nil {
		f.Problem = err.Error()
	} else {
		f.Arguments = models.JoinArguments(withMap(argv, first))
	}
	f.Argv = s.argvView(b, f.Arguments)
	return s.show(c, http.StatusOK, f)
}
