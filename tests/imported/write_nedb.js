// Wrote users-nedb.db and users-seald.db, with nedb 1.8.0 and @seald-io/nedb 4.1.2 in Node.js 20:
//
//     npm install nedb@1.8.0 @seald-io/nedb@4.1.2
//     node write_nedb.js FOLDER
const path = require('path'), fs = require('fs');
const folder = process.argv[2];
for (const [name, Datastore] of [['nedb', require('nedb')], ['seald', require('@seald-io/nedb')]]) {
  const filename = path.join(folder, `users-${name}.db`);
  if (fs.existsSync(filename)) fs.unlinkSync(filename);
  const db = new Datastore({ filename, autoload: true });
  const done = (e) => { if (e) throw e; };
  db.ensureIndex({ fieldName: 'email', unique: true }, done);
  db.insert([
    {
      _id: 'aaaaaaaaaaaaaaa1', email: 'ada@example.org', age: 35,
      born: new Date(Date.UTC(1815, 11, 10)), tags: ['navy'],
      address: { city: 'London', since: new Date(1234567890123) },
    },
    { _id: 'aaaaaaaaaaaaaaa2', email: 'bob@example.org', age: 17.5, born: null, tags: [] },
    { _id: 'aaaaaaaaaaaaaaa3', email: 'eve@example.org', age: 52, tags: ['café', 'line\nbreak'] },
  ], (e) => { done(e);
    db.update({ _id: 'aaaaaaaaaaaaaaa1' }, { $set: { age: 36 } }, {}, (e) => { done(e);
      db.remove({ _id: 'aaaaaaaaaaaaaaa2' }, {}, (e) => { done(e);
        db.ensureIndex({ fieldName: 'age' }, (e) => { done(e); db.removeIndex('age', done); });
      });
    });
  });
}
