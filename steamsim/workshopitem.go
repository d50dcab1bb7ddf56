package steamsim

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// workshopDownloadItem plays workshop_download_item APP ID. It takes the file
// from the same catalogue as the file host, without that having to run.
//
// Uploads of the old kind, which have an address at the file host, land as
// NUMBER_legacy.bin, which is the VPK; newer ones as a folder with the VPK under
// its own name. What was fetched is kept in appworkshop_550.acf, and what stands
// there is not fetched again: not even when somebody deleted the file, which is
// a success all the same.
func (s *session) workshopDownloadItem(args []string) {
	if len(args) < 2 {
		s.out.print("Usage: workshop_download_item <appid> <PublishedFileId>\n")
		return
	}
	if s.account == "" {
		s.out.print("ERROR! Not logged on.\n")
		s.failedItem()
		return
	}
	s.out.printf("Downloading item %s ...\n", args[1])
	s.pause(800)
	id, err := strconv.ParseUint(args[1], 10, 64)
	it, change, known := s.control.Workshop.item(id)
	why := ""
	switch _, isSet := findCollection(id); {
	case isSet:
		why = "Failure"
	case err != nil || !known || args[0] != strconv.Itoa(gameApp):
		why = "File Not Found"
	}
	for _, fault := range it.faults {
		if says := steamcmdSays[fault]; says != "" && why == "" && s.meetsItem(fault, args[1], change.Count) {
			why = says
		}
	}
	if why == "" {
		why = s.fetchItem(it)
	}
	if why != "" {
		s.out.printf("ERROR! Download item %s failed (%s).\n", args[1], why)
		s.failedItem()
	}
}

// failedItem ends the session where that was asked for. The exit status of a
// session that goes on does not show it.
func (s *session) failedItem() {
	if s.shutdown {
		s.failed(8)
	}
}

func (s *session) meetsItem(fault, id string, limit int) bool {
	if limit == 0 {
		return true
	}
	n, err := s.home.meet(fmt.Sprintf("%s of item %s/%d", fault, id, limit))
	if err != nil {
		s.home.log("stderr.txt", err.Error())
	}
	return n <= limit
}

// fetchItem brings the item's file and says what went wrong, if anything did.
func (s *session) fetchItem(it item) string {
	library, _ := s.library()
	workshop := filepath.Join(library, "steamapps", "workshop")
	dir := filepath.Join(workshop, "content", strconv.Itoa(gameApp), it.idText())
	b := it.file()
	legacy := !slices.ContainsFunc(it.faults, func(f string) bool { return f == "no_url" || strings.HasPrefix(f, "steamcmd_") })
	path, shown := filepath.Join(dir, filepath.Base(it.filename())), dir
	if legacy {
		path = filepath.Join(dir, strconv.FormatUint(it.handle(), 10)+"_legacy.bin")
		shown = path
	}
	record, err := readItemRecord(workshop)
	if err != nil {
		s.home.log("workshop_log.txt", err.Error())
		return "Failure"
	}
	now := itemState{size: b.size, updated: it.updated().Unix(), manifest: it.handle()}
	if record[it.idText()] != now {
		s.pause(int(b.size>>20) * 40)
		err := errors.Join(os.RemoveAll(dir), replace(path, 0o644, b.reader()))
		if err == nil {
			record[it.idText()] = now
			err = record.write(workshop)
		}
		if err != nil {
			s.home.log("workshop_log.txt", err.Error())
			return "Failure"
		}
		s.home.log("workshop_log.txt", "[AppID 550] Download item "+it.idText()+" result : OK")
	}
	s.out.printf("Success. Downloaded item %s to \"%s\" (%d bytes) \n", it.idText(), shown, b.size)
	return ""
}

// itemRecord is steamapps/workshop/appworkshop_550.acf: what is installed.
type itemRecord map[string]itemState

type itemState struct {
	size, updated int64
	manifest      uint64
}

func itemRecordPath(workshop string) string { return filepath.Join(workshop, "appworkshop_550.acf") }

func readItemRecord(workshop string) (itemRecord, error) {
	b, err := os.ReadFile(itemRecordPath(workshop))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read the record of items: %w", err)
	}
	r := itemRecord{}
	kv := flatten(string(b))
	for key, value := range kv {
		rest, ok := strings.CutPrefix(key, "appworkshop/workshopitemsinstalled/")
		id, field, nested := strings.Cut(rest, "/")
		if !ok || !nested || field != "size" {
			continue
		}
		var state itemState
		prefix := "appworkshop/workshopitemsinstalled/" + id + "/"
		state.size, _ = strconv.ParseInt(value, 10, 64) // written by hand, it may be anything
		state.updated, _ = strconv.ParseInt(kv[prefix+"timeupdated"], 10, 64)
		state.manifest, _ = strconv.ParseUint(kv[prefix+"manifest"], 10, 64)
		r[id] = state
	}
	return r, nil
}

func (r itemRecord) write(workshop string) error {
	total := int64(0)
	var installed, details strings.Builder
	for _, id := range slices.Sorted(maps.Keys(r)) {
		st := r[id]
		total += st.size
		fmt.Fprintf(&installed, "\t\t%q\n\t\t{\n\t\t\t\"size\"\t\t\"%d\"\n\t\t\t\"timeupdated\"\t\t\"%d\"\n\t\t\t\"manifest\"\t\t\"%d\"\n\t\t}\n", id, st.size, st.updated, st.manifest)
		fmt.Fprintf(&details, "\t\t%q\n\t\t{\n\t\t\t\"manifest\"\t\t\"%d\"\n\t\t\t\"timeupdated\"\t\t\"%d\"\n\t\t\t\"timetouched\"\t\t\"%d\"\n\t\t}\n", id, st.manifest, st.updated, time.Now().Unix())
	}
	return writeFile(itemRecordPath(workshop), fmt.Appendf(nil,
		"\"AppWorkshop\"\n{\n\t\"appid\"\t\t\"%d\"\n\t\"SizeOnDisk\"\t\t\"%d\"\n\t\"NeedsUpdate\"\t\t\"0\"\n\t\"NeedsDownload\"\t\t\"0\"\n\t\"TimeLastUpdated\"\t\t\"%d\"\n\t\"TimeLastAppRan\"\t\t\"0\"\n\t\"WorkshopItemsInstalled\"\n\t{\n%s\t}\n\t\"WorkshopItemDetails\"\n\t{\n%s\t}\n}\n",
		gameApp, total, time.Now().Unix(), installed.String(), details.String()), 0o644)
}
