/** Statements that change or take what a tool for reading should not, and ways to bring them into others. */
import { type RuleSet, rule } from './rule.js';

/** As a database reads it: comments and line breaks are spaces, and MySQL runs what stands in some of them. */
function read(text: string): string | undefined {
  const own = text
    .replace(/\/\*!\d{0,6}/g, ' ')
    .replace(/\/\*[^*]{0,2000}(?:\*(?!\/)[^*]{0,2000}){0,100}\*\//g, ' ')
    .replace(/\*\//g, ' ')
    .replace(/(?:--[ \t]|#)[^\n]{0,2000}/g, ' ')
    .replace(/\s+/g, ' ')
    .replace(/[`[\]]/g, '');
  return own === text ? undefined : own;
}

/** A name, with its schema. */
const NAME = '["\'`\\[]?[\\w$.]{1,128}["\'`\\]]?';
const of = (source: string) => new RegExp(source, 'i');

export const sql: RuleSet = {
  name: 'sql',
  read,
  rules: [
    rule(
      'sql-drop',
      'a statement that removes or changes tables',
      of(
        '\\b(?:drop|truncate|alter)\\s{1,8}(?:table|database|schema|view|index|column|sequence|trigger|function|procedure|user|role|extension)\\b|\\btruncate\\s{1,8}\\w',
      ),
      [
        'DROP TABLE users',
        'drop/**/table x',
        '/*!50000DROP*/ TABLE x',
        'truncate x',
        'ALTER TABLE x ADD y int',
        'DROP\nDATABASE x',
      ],
      ['select dropped from tables', 'raindrop table'],
    ),
    rule(
      'sql-delete-all',
      'a statement that deletes or changes all rows',
      of(
        `\\bdelete\\s{1,8}from\\s{1,8}${NAME}\\s{0,8}(?:;|$|--)|\\bupdate\\s{1,8}${NAME}\\s{1,8}set\\b(?![^;]{0,4000}\\bwhere\\b)|\\bwhere\\s{1,8}(?:1\\s{0,4}=\\s{0,4}1|true)\\s{0,8}(?:;|$)`,
      ),
      ['DELETE FROM users', 'delete from x;', 'UPDATE x SET a = 1', 'delete from x where 1=1'],
      ['delete from x where id = 3', 'update x set a = 1 where id = 2'],
    ),
    rule(
      'sql-write',
      'a statement that writes',
      of(
        `\\binsert\\s{1,8}into\\s|\\breplace\\s{1,8}into\\s|\\bmerge\\s{1,8}into\\s|\\bdelete\\s{1,8}(?:\\w{1,64}\\s{1,8})?from\\s|\\bupdate\\s{1,8}${NAME}\\s{1,8}set\\b|\\bcreate\\s{1,8}(?:or\\s{1,8}replace\\s{1,8})?(?:temp(?:orary)?\\s{1,8})?(?:table|view|index|function|procedure|trigger|database|schema|extension)\\b|\\bselect\\b[^;]{0,2000}\\binto\\s{1,8}(?:temp\\s|table\\s)`,
      ),
      [
        'INSERT INTO x VALUES (1)',
        'update x set a = 1 where id = 2',
        'create table x (a int)',
        'delete from x where a=1',
      ],
      ['select * from inserts', 'update the settings'],
    ),
    rule(
      'sql-stacked',
      'a second statement behind the first',
      /;\s{0,8}(?:select|insert|update|delete|drop|alter|create|truncate|grant|revoke|exec(?:ute)?|call|merge|copy|set|declare|shutdown)\s/i,
      ["x'; select 1", 'select 1; drop table x'],
      ['a; selection', 'select 1;'],
    ),
    rule(
      'sql-tautology',
      'a condition that is always true',
      /['")]\s{0,8}(?:or|and|\|\|)\s{1,8}(?:not\s{1,8})?\(?(['"]?)(\w{1,32})\1\s{0,4}(?:=|like|<=>)\s{0,4}['"]?\2|\bor\s{1,8}(\d{1,9})\s{0,4}=\s{0,4}\3\b|['"]\s{0,8}or\s{1,8}(?:''|"")\s{0,4}=|\bor\s{1,8}\d{1,9}\s{0,4}[<>]=?\s{0,4}\d|\d\s{1,8}or\s{1,8}true\b|['"]\s{0,8}or\s{1,8}true\b|'\s{0,8}(?:--|#|\/\*)/i,
      [
        "' or '1'='1",
        "x' OR 1=1 --",
        "') or ('a'='a",
        "admin'--",
        '1 or 1=1',
        '" or ""="',
        "' or 2>1 --",
        '1 or true',
      ],
      ["it's or not", 'a or b = c', "where name = 'x'"],
    ),
    rule(
      'sql-union',
      'a second query whose rows are added',
      /\bunion(?:\s{1,8}(?:all|distinct))?[\s(]{1,8}select\b/i,
      ["x' UNION SELECT password FROM users", 'union all select 1', 'UNION(SELECT 1)', 'union/**/select 1'],
      ['the union selects a leader', 'trade union'],
    ),
    rule(
      'sql-outside',
      'a statement that reads or writes files, or runs programs',
      /\binto\s{1,8}(?:out|dump)file\b|\bload_file\s{0,4}\(|\bload\s{1,8}data\b|\bcopy\b[^;]{0,500}\b(?:from|to)\s{1,8}(?:program\b|')|\bxp_(?:cmdshell|dirtree|regread|fileexist)\b|\bsp_(?:oacreate|configure|executesql)\b|\bpg_(?:read_file|read_binary_file|ls_dir|execute_server_program)\b|\blo_(?:import|export)\s{0,4}\(|\butl_(?:http|file|tcp)\b|\battach\s{1,8}database\b|\bload_extension\s{0,4}\(|\bopenrowset\b|\bdblink\s{0,4}\(|\bexecute\s{1,8}immediate\b|\bpragma\s{1,8}\w{1,64}\s{0,4}=|\bvacuum\s{1,8}into\b/i,
      [
        "select 1 into outfile '/tmp/x'",
        "COPY x TO PROGRAM 'id'",
        "exec xp_cmdshell 'id'",
        "select load_file('/x')",
        "attach database 'x' as y",
        'PRAGMA writable_schema=1',
        "VACUUM INTO 'x'",
      ],
      ['copy of the program', 'load the data'],
    ),
    rule(
      'sql-rights',
      'a statement about rights and users',
      /\b(?:grant|revoke)\s{1,8}(?:all|select|insert|update|delete|usage|execute|create|connect|\w{1,64}\s{1,8}to)\b|\b(?:create|alter|drop)\s{1,8}(?:user|role|login)\b|\bset\s{1,8}(?:role|session\s{1,8}authorization)\b|\bidentified\s{1,8}by\b/i,
      ['GRANT ALL ON x TO y', "create user x identified by 'y'", 'set role admin'],
      ['grants for students', 'the role of x'],
    ),
    rule(
      'sql-delay',
      'a call that waits, by whose time answers are read',
      /\bpg_sleep(?:_for|_until)?\s{0,4}\(|\bsleep\s{0,4}\(\s{0,4}\d|\bbenchmark\s{0,4}\(\s{0,4}\d|\bwaitfor\s{1,8}(?:delay|time)\b|\bdbms_(?:pipe|lock|session)\b|\brandomblob\s{0,4}\(\s{0,4}\d{7}/i,
      ['select pg_sleep(10)', "waitfor delay '0:0:5'", 'sleep(5)', 'benchmark(10000000,md5(1))'],
      ['sleep well', 'a benchmark'],
    ),
    rule(
      'sql-catalogue',
      'the catalogue of the database',
      /\binformation_schema\b|\bpg_(?:catalog|shadow|authid|user)\b|\bsqlite_(?:master|schema)\b|\bsys\.(?:tables|columns|objects|sql_logins|user\$)|\bmysql\.(?:user|db)\b|\ball_tab(?:le|_column)s\b/i,
      ['select * from information_schema.tables', 'select * from sqlite_master', 'select * from mysql.user'],
      ['the schema of information'],
    ),
  ],
};
